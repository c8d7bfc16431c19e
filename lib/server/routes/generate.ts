import type { SamplingOptions } from '../../sampling-params.js'
import { answer, streamAnswer } from '../../openai/answer.js'
import type { OpenAiEndpoint } from '../../openai/params.js'
import { parseOpenAiRequest, type OpenAiRequest } from '../../openai/request.js'
import { newHead } from '../../openai/response.js'
import { answering } from '../answering.js'
import { eventsOf, eventStream } from '../event-stream.js'
import { json, type Reply } from '../exchange.js'
import type { HandlerConfig } from '../options.js'
import { readJson } from '../read-body.js'
import { checkMost, type Exchange, type Route } from '../router.js'

/** Completions and chats, whole or streamed. */
export const generateRoutes: readonly Route[] = [
  { method: 'POST', path: '/v1/completions', answer: generates('/v1/completions') },
  { method: 'POST', path: '/v1/chat/completions', answer: generates('/v1/chat/completions') },
]

function generates(endpoint: OpenAiEndpoint) {
  return async (exchange: Exchange): Promise<Reply> => {
    const { context, incoming, notes } = exchange
    const { config, pace } = context
    const request = parseOpenAiRequest(endpoint, await readJson(incoming, config.maxBodyBytes))
    checkLimits(request, config)
    const requestId = notes.name(request.requestId)
    const draws = request.endpoint !== '/v1/completions' || request.draws
    const { engine, model, call } = answering(exchange, request.model, draws)
    const head = newHead(request, model, requestId)
    if (!request.stream) return json(200, await answer(engine, request, head, call))
    return eventStream(eventsOf(streamAnswer(engine, request, head, call), pace))
  }
}

function checkLimits(request: OpenAiRequest, { maxN, maxPrompts }: HandlerConfig): void {
  const { n, bestOf }: SamplingOptions = request.params
  checkMost('n', n ?? 1, maxN)
  checkMost('best_of', bestOf ?? 1, maxN)
  if ('prompts' in request) checkMost('prompt', request.prompts.length, maxPrompts)
}
