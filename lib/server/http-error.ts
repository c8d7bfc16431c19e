import { openAiError, type OpenAiErrorType } from '../openai/errors.js'
import { json, type Reply } from './exchange.js'

interface HttpErrorDetails {
  readonly type?: OpenAiErrorType
  readonly code?: string
  readonly param?: string
  readonly headers?: Reply['headers']
  readonly cause?: unknown
}

/** A request that is refused before the engine sees it. */
export class HttpError extends Error {
  readonly details: HttpErrorDetails

  constructor(
    readonly status: number,
    message: string,
    details: HttpErrorDetails = {},
  ) {
    super(message, { cause: details.cause })
    this.details = details
  }
}

/** Whoever asks too early or too often is told when to ask again. */
export function unavailable(status: 429 | 503, code: string, message: string): HttpError {
  const type = status === 429 ? 'rate_limit_error' : 'server_error'
  return new HttpError(status, message, { type, code, headers: { 'retry-after': '1' } })
}

/** An error in OpenAI's shape. */
export function errorReply(error: unknown): Reply {
  if (!(error instanceof HttpError)) {
    const { status, body } = openAiError(error)
    return json(status, body, status === 503 ? { 'retry-after': '1' } : {})
  }
  const { type = 'invalid_request_error', code = null, param = null, headers } = error.details
  return json(error.status, { error: { message: error.message, type, param, code } }, headers)
}
