import type { OpenAiErrorFields } from '../openai/errors.js'

/** Anthropic's names of what an error's status means. */
const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
}

/** How a message's request calls fields that OpenAI's API and the engine call otherwise. */
const NAMES: readonly (readonly [RegExp, string])[] = [
  [/^tool_choice\.function/, 'tool_choice'],
  [/^stop(?=\[|: expected)/, 'stop_sequences'],
]

/** By these its client knows that it must send the whole conversation. */
const NO_THREADS = { error_code: 'thread_unsupported_request', unsupported: ['thread'] }

/** An error as Anthropic's API reports it. */
export function anthropicErrorBody(status: number, { message, param }: OpenAiErrorFields): object {
  const type = TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error')
  const named = NAMES.reduce((text, [pattern, name]) => text.replace(pattern, name), message)
  const details = param === 'thread' && { details: NO_THREADS }
  return { type: 'error', error: { type, message: named, ...details } }
}
