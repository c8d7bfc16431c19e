import { anthropicErrorBody } from '../../anthropic/errors.js'
import { answerMessage, countPromptTokens, streamMessage } from '../../anthropic/answer.js'
import { parseMessagesRequest, type MessagesRequest } from '../../anthropic/request.js'
import { answering } from '../answering.js'
import { eventsOf, eventStream } from '../event-stream.js'
import { json, type Reply } from '../exchange.js'
import { readJson } from '../read-body.js'
import { type Api, type Exchange, type Route } from '../router.js'

/** Anthropic's Messages, whole or streamed, and how many tokens one would be asked with. */
export const messageRoutes: readonly Route[] = [
  { method: 'POST', path: '/v1/messages', answer: respond },
  { method: 'POST', path: '/v1/messages/count_tokens', answer: countTokens },
]

/** Its clients find a request's id by another header than OpenAI's do. */
export const messagesApi: Api = {
  path: '/v1/messages',
  errorShape: anthropicErrorBody,
  headers: (requestId) => ({ 'request-id': requestId }),
}

async function respond(exchange: Exchange): Promise<Reply> {
  const request = await readRequest(exchange)
  const { engine, model, call: options } = answering(exchange, request.model)
  const call = { request, model, options }
  if (!request.stream) return json(200, await answerMessage(engine, call))
  return eventStream(eventsOf(streamMessage(engine, call), exchange.context.pace))
}

async function countTokens(exchange: Exchange): Promise<Reply> {
  const { engine, models } = exchange.context
  const request = await readRequest(exchange)
  models.find(request.model)
  return json(200, { input_tokens: await countPromptTokens(engine, request) })
}

async function readRequest({ context, incoming }: Exchange): Promise<MessagesRequest> {
  return parseMessagesRequest(await readJson(incoming, context.config.maxBodyBytes))
}
