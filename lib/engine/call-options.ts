import {
  checkBoolean,
  checkOptions,
  checkSignal,
  checkText,
  isRecord,
  wrongType,
} from '../check.js'
import { checkLoraRequest, type LoraRequest } from './lora-request.js'

/** Options of one call. */
export interface CallOptions {
  /** Rejects the call with `signal.reason` and frees what it holds. */
  readonly signal?: AbortSignal
  /** The adapter (LoRA) that prompts without one of their own are computed with. Default: none. */
  readonly loraRequest?: LoraRequest
  /** W3C's `traceparent` and `tracestate` of whom the request's span is a part (traceEngine). */
  readonly traceHeaders?: TraceHeaders
}

/** Headers by which traces go on from one process to the next. */
export type TraceHeaders = Readonly<Record<string, string>>

/** Options of a chat call: what its template may use. */
export interface ChatOptions extends CallOptions {
  /** Tools that the template describes to the model, in OpenAI's form. */
  readonly tools?: readonly object[]
  /** Variables that only this template knows, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>
  /** End with the beginning of the assistant's turn. Default true. */
  readonly addGenerationPrompt?: boolean
  /** End within the last message, for the model to go on with it. Default false. */
  readonly continueFinalMessage?: boolean
  /** Prompts share cached blocks only with prompts of the same salt. */
  readonly cacheSalt?: string
  /**
   * Give a model's thoughts and its calls of tools apart from its text, as `reasoning` and `toolCalls`.
   * Default true.
   */
  readonly readReply?: boolean
}

export const CALL_NAMES: readonly (keyof CallOptions)[] = ['signal', 'loraRequest', 'traceHeaders']
const CALL: ReadonlySet<string> = new Set(CALL_NAMES)
const CHAT: ReadonlySet<string> = new Set([
  ...CALL_NAMES,
  ...['tools', 'variables'],
  ...['addGenerationPrompt', 'continueFinalMessage', 'cacheSalt', 'readReply'],
])

/** Throws TypeError for an unknown option, or a signal that is none. */
export function checkCallOptions(options: CallOptions): CallOptions {
  return checkCall(checkOptions(options, 'call option', CALL))
}

/** The same for a chat; its template checks what it uses. */
export function checkChatOptions(options: ChatOptions): ChatOptions {
  const raw = checkOptions(options, 'chat option', CHAT)
  const { addGenerationPrompt, continueFinalMessage, cacheSalt, readReply, variables = {} } = raw
  if (!isRecord(variables)) throw wrongType('variables', 'an object', variables)
  if (addGenerationPrompt !== undefined) checkBoolean('addGenerationPrompt', addGenerationPrompt)
  if (continueFinalMessage !== undefined) checkBoolean('continueFinalMessage', continueFinalMessage)
  if (cacheSalt !== undefined) checkText('cacheSalt', cacheSalt)
  if (readReply !== undefined) checkBoolean('readReply', readReply)
  return checkCall(options)
}

function checkCall<T extends { readonly [name in keyof CallOptions]?: unknown }>(options: T): T {
  const { signal, loraRequest, traceHeaders = {} } = options
  if (signal !== undefined) checkSignal('signal', signal)
  if (loraRequest !== undefined) checkLoraRequest('loraRequest', loraRequest)
  if (!isRecord(traceHeaders)) throw wrongType('traceHeaders', 'an object', traceHeaders)
  return options
}
