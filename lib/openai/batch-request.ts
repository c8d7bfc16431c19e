import { checkChoice, outOfRange } from '../check.js'
import type { CallOptions } from '../engine/call-options.js'
import type { LLMEngine } from '../engine/llm-engine.js'
import { EngineError } from '../errors.js'
import { answer, type AnsweringEngine } from './answer.js'
import { answerEmbedding, parseEmbeddingRequest } from './embeddings.js'
import { parseOpenAiRequest } from './request.js'
import { newHead } from './response.js'
import { answerResponse } from './responses/answer.js'
import { parseResponsesRequest } from './responses/request.js'

/** The OpenAI paths that a request of a batch or a job may have. */
export const BATCH_ENDPOINTS = [
  '/v1/completions',
  '/v1/chat/completions',
  '/v1/responses',
  '/v1/embeddings',
] as const

export type BatchEndpoint = (typeof BATCH_ENDPOINTS)[number]

/** What the answer to a batch's request needs of an engine. */
export type BatchAnsweringEngine = AnsweringEngine & Pick<LLMEngine, 'embed'>

/** A request of a batch or a job, read: it is answered by one body. */
export interface BatchRequest {
  /** The model that the body names; null if it names none. */
  readonly model: string | null
  /** Gives the body, which calls the model by its name. Rejects as the engine does. */
  answer(engine: BatchAnsweringEngine, model: string, call: CallOptions): Promise<object>
}

/** Throws TypeError or RangeError naming the field for a path that no batch may have. */
export function checkBatchEndpoint(field: string, url: unknown): BatchEndpoint {
  return checkChoice(field, url, BATCH_ENDPOINTS)
}

/**
 * Reads a body as the server's route of that path does; nobody would read a stream, and no response
 * is kept. Throws TypeError or RangeError naming the field, EngineError `not_supported`.
 *
 * @example
 * const request = parseBatchRequest('/v1/embeddings', { input: 'A cat.' })
 * await request.answer(engine, 'demo', {})
 */
export function parseBatchRequest(endpoint: BatchEndpoint, body: unknown): BatchRequest {
  switch (endpoint) {
    case '/v1/embeddings':
      return embeddings(body)
    case '/v1/responses':
      return responses(body)
    default:
      return generation(endpoint, body)
  }
}

function generation(
  endpoint: '/v1/completions' | '/v1/chat/completions',
  body: unknown,
): BatchRequest {
  const request = parseOpenAiRequest(endpoint, body)
  refuseStream(request)
  return {
    model: request.model,
    answer: (engine, model, call) => answer(engine, request, newHead(request, model), call),
  }
}

function embeddings(body: unknown): BatchRequest {
  const request = parseEmbeddingRequest(body)
  return {
    model: request.model,
    answer: (engine, model, call) => answerEmbedding(engine, request, model, call),
  }
}

function responses(body: unknown): BatchRequest {
  const asked = parseResponsesRequest(body)
  refuseStream(asked)
  if (asked.previousId !== null) {
    throw new EngineError(
      'not_supported',
      'previous_response_id: not supported in a batch or a job, where no response is kept',
    )
  }
  const request = { ...asked, store: false, echoed: { ...asked.echoed, store: false } }
  return {
    model: request.model,
    answer: (engine, model, options) =>
      answerResponse(engine, {
        ...{ request, previous: null, model, options },
        onEnd: () => undefined,
      }),
  }
}

function refuseStream({ stream }: { readonly stream: boolean }): void {
  if (stream) throw outOfRange('stream', 'false in a batch or a job', true)
}
