import { EngineError, PromptTooLongError } from '../errors.js'
import { inFieldNames } from './params.js'

/** What kind of failure an error body reports. */
export type OpenAiErrorType =
  'invalid_request_error' | 'authentication_error' | 'rate_limit_error' | 'server_error'

/** An error as OpenAI's API reports it. */
export interface OpenAiError {
  readonly status: number
  readonly body: { readonly error: OpenAiErrorFields }
}

export interface OpenAiErrorFields {
  readonly message: string
  readonly type: OpenAiErrorType
  readonly param: string | null
  readonly code: string | null
}

/** A request names a model that is not served. */
export class UnknownModelError extends RangeError {}

/**
 * Misuse and what has not landed are the caller's (400, or 404 for a model that is not served), an
 * engine that takes nothing any more is unavailable (503), anything else is the server's fault (500).
 */
export function openAiError(error: unknown): OpenAiError {
  const code = codeOf(error)
  const status = statusOf(error, code)
  const misuse = status < 500
  const { field, message } = inFieldNames(error instanceof Error ? error.message : String(error))
  const type = misuse ? 'invalid_request_error' : 'server_error'
  return { status, body: { error: { message, type, param: misuse ? field : null, code } } }
}

/** A misuse of an option as an endpoint that has another name for it tells of it. */
export function withName(error: unknown, option: RegExp, name: string): unknown {
  if (error instanceof TypeError || error instanceof RangeError)
    error.message = error.message.replace(option, name)
  return error
}

function codeOf(error: unknown): string | null {
  if (error instanceof UnknownModelError) return 'model_not_found'
  if (error instanceof PromptTooLongError) return 'context_length_exceeded'
  return error instanceof EngineError ? error.code : null
}

function statusOf(error: unknown, code: string | null): number {
  if (code === 'model_not_found') return 404
  if (error instanceof TypeError || error instanceof RangeError) return 400
  if (code === 'not_supported') return 400
  return code === 'engine_dead' || code === 'closed' ? 503 : 500
}
