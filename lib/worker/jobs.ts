import { isRecord, wrongType } from '../check.js'
import type { LLMEngine } from '../engine/llm-engine.js'
import { checkBatchEndpoint, parseBatchRequest } from '../openai/batch-request.js'
import type { ServedModels } from '../openai/served-models.js'

/** A request of a job: a line of an OpenAI batch file without what only a file needs. */
export interface JobRequest {
  /** '/v1/completions', '/v1/chat/completions', '/v1/responses' or '/v1/embeddings'. */
  readonly url: string
  readonly body: Readonly<Record<string, unknown>>
}

/** What a job asks for: one request, or several that are answered at once. */
export type JobData = JobRequest | { readonly requests: readonly JobRequest[] }

/** What a job may ask for, and who waits for its answer. */
export interface JobCall {
  readonly models: ServedModels
  readonly signal: AbortSignal
  /** Told the share of the job's requests that are answered, in percent. */
  readonly onProgress: (percent: number) => Promise<void>
}

/**
 * Answers a job: gives the body of its answer, or of several requests the bodies in their order. Throws
 * TypeError or RangeError for what is no job, and what the engine throws.
 */
export async function answerJob(
  engine: LLMEngine,
  data: unknown,
  { models, signal, onProgress }: JobCall,
): Promise<unknown> {
  if (!isRecord(data)) throw wrongType('job', '{ url, body } or { requests }', data)
  const several = Array.isArray(data.requests) ? (data.requests as unknown[]) : null
  const requests = (several ?? [data]).map(parseRequest)
  let answered = 0
  const bodies = await Promise.all(
    requests.map(async (request) => {
      const { name, call } = models.find(request.model)
      const body = await request.answer(engine, name, { signal, ...call })
      await onProgress(Math.round((++answered / requests.length) * 100))
      return body
    }),
  )
  return several === null ? bodies[0] : bodies
}

function parseRequest(request: unknown) {
  if (!isRecord(request)) throw wrongType('job', '{ url, body }', request)
  const { url, body } = request
  return parseBatchRequest(checkBatchEndpoint('job.url', url), body)
}
