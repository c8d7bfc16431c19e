import { withName, type OpenAiErrorFields } from '../openai/errors.js'
import type { ChatTurn } from '../text/chat-turns.js'

/** Anthropic's names of what an error's status means. */
const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
}

/** By these its client knows that it must send the whole conversation. */
const NO_THREADS = { error_code: 'thread_unsupported_request', unsupported: ['thread'] }

/** An error as Anthropic's API reports it. */
export function anthropicErrorBody(status: number, { message, param, code }: OpenAiErrorFields) {
  const type = TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error')
  const details = param === 'thread' && { details: NO_THREADS }
  // By these words its clients know that they must shorten the conversation.
  const told =
    code === 'context_length_exceeded' ? message.replace(/^prompt/, 'prompt is too long') : message
  return { type: 'error', error: { type, message: told, ...details } }
}

/**
 * A template's refusal of turns with a system's behind others. By these words Claude Code knows that it
 * must send none.
 */
export function withSystemRole(error: unknown, turns: readonly ChatTurn[]): unknown {
  const late = turns.slice(1).some(({ role }) => role === 'system')
  const reason = "(perhaps the role 'system' behind other messages, which is not supported by all)"
  return late ? withName(error, /^chat template: .*/s, `$& ${reason}`) : error
}
