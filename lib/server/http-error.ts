import {
  openAiError,
  type OpenAiError,
  type OpenAiErrorFields,
  type OpenAiErrorType,
} from '../openai/errors.js'
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

/** The body of an error as another API than OpenAI's has it. */
export type ErrorShape = (status: number, error: OpenAiErrorFields) => object

/** An error in OpenAI's shape, or in another one. */
export function errorReply(error: unknown, shape?: ErrorShape): Reply {
  const { status, body, headers } = describeError(error)
  return json(status, shape?.(status, body.error) ?? body, headers)
}

function describeError(error: unknown): OpenAiError & Pick<Reply, 'headers'> {
  if (!(error instanceof HttpError)) {
    const described = openAiError(error)
    return { ...described, headers: described.status === 503 ? { 'retry-after': '1' } : {} }
  }
  const { status, message, details } = error
  const { type = 'invalid_request_error', code = null, param = null, headers = {} } = details
  return { status, body: { error: { message, type, param, code } }, headers }
}
