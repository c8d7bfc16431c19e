import {
  checkArray,
  checkBoolean,
  checkText,
  isRecord,
  outOfRange,
  recordOf,
  wrongType,
  type RawOptions,
} from '../check.js'
import type { ChatOptions } from '../engine/call-options.js'
import type { Prompt } from '../engine/prompt.js'
import { EngineError } from '../errors.js'
import type { SamplingOptions } from '../sampling-params.js'
import type { ChatTurn } from '../text/chat-turns.js'
import type { ToolUse } from '../text/reply-reader.js'
import { readSampling, type OpenAiEndpoint } from './params.js'
import { withShapes } from './response-format.js'
import { readTools } from './tools.js'

interface SharedParts {
  /** The model that the body names; null if it names none. */
  readonly model: string | null
  readonly stream: boolean
  /** A stream's last chunk counts the tokens. */
  readonly includeUsage: boolean
  /** Every chunk of a stream counts the tokens so far. */
  readonly continuousUsage: boolean
  readonly params: SamplingOptions
  /** The id that the body gives the request; null: none. */
  readonly requestId: string | null
  /** The answer has the ids of its tokens and the prompt's. */
  readonly returnTokenIds: boolean
}

/** A body of /v1/completions, read. */
export interface CompletionRequest extends SharedParts {
  readonly endpoint: '/v1/completions'
  readonly prompts: readonly Prompt[]
  /** The outputs begin with their prompt. */
  readonly echo: boolean
  /** False where the outputs are their prompt alone. */
  readonly draws: boolean
}

/** A body of /v1/chat/completions, read. */
export interface ChatRequest extends SharedParts {
  readonly endpoint: '/v1/chat/completions'
  readonly messages: readonly ChatTurn[]
  readonly chat: ChatOptions
  readonly toolUse: ToolUse
  readonly parallelToolCalls: boolean
  /** The reply shows the model's thoughts. */
  readonly includeReasoning: boolean
}

export type OpenAiRequest = CompletionRequest | ChatRequest

/**
 * Reads a request body of OpenAI's API. Throws TypeError or RangeError naming the field, EngineError
 * `not_supported` for what has not landed; messages and sampling values are checked by the engine.
 *
 * @example
 * parseOpenAiRequest('/v1/completions', { prompt: 'One', max_tokens: 8 })
 */
export function parseOpenAiRequest(endpoint: OpenAiEndpoint, body: unknown): OpenAiRequest {
  if (!isRecord(body)) throw wrongType('body', 'an object', body)
  const model = body.model ?? null
  const stream = flag(body, 'stream', false)
  const shared = {
    model: model === null ? null : checkText('model', model),
    stream,
    ...readStreamOptions(body, stream),
    params: readSampling(endpoint, body),
    requestId: body.request_id == null ? null : checkRequestId(body.request_id),
    returnTokenIds: flag(body, 'return_token_ids', false),
  }
  if (endpoint === '/v1/completions')
    return { endpoint, ...shared, ...readCompletion(body, shared) }
  const { forcedCall, ...chat } = readChat(body)
  return { endpoint, ...shared, ...chat, params: withShapes(shared.params, body, { forcedCall }) }
}

/** An id goes back in a header. */
function checkRequestId(value: unknown): string {
  const id = checkText('request_id', value)
  if (isHeaderWord(id)) return id
  throw outOfRange('request_id', 'up to 128 visible ASCII characters', id)
}

/** Whether an id may stand in a header as it is. */
export function isHeaderWord(id: string): boolean {
  return /^[\x21-\x7e]{1,128}$/.test(id)
}

function readStreamOptions(body: RawOptions, stream: boolean) {
  const options = recordOf('stream_options', body.stream_options)
  if (!stream && body.stream_options != null) {
    throw outOfRange('stream_options', 'none unless stream is true', options)
  }
  checkStreamOptions(options, ['include_usage', 'continuous_usage_stats'])
  return {
    includeUsage: flag(options, 'include_usage', false, 'stream_options.'),
    continuousUsage: flag(options, 'continuous_usage_stats', false, 'stream_options.'),
  }
}

/**
 * Throws TypeError for one that is not known, EngineError `not_supported` for padding that hides the
 * lengths of what is streamed.
 */
export function checkStreamOptions(options: RawOptions, known: readonly string[] = []): void {
  for (const [name, value] of Object.entries(options)) {
    if (known.includes(name) || value == null) continue
    const field = `stream_options.${name}`
    if (name !== 'include_obfuscation') throw new TypeError(`${field}: there is no such option`)
    if (value === false) continue
    throw new EngineError('not_supported', `${field}: not supported by this version`)
  }
}

/** With echo, log-probabilities are those of the prompt too, and `max_tokens: 0` only scores it. */
function readCompletion(body: RawOptions, { params }: { readonly params: SamplingOptions }) {
  const echo = flag(body, 'echo', false)
  const scored = echo && params.logprobs !== undefined && { promptLogprobs: params.logprobs }
  const draws = !echo || params.maxTokens !== 0
  return {
    ...{ prompts: readPrompts('prompt', body.prompt, body), echo, draws },
    // The engine draws one token at least.
    params: { ...params, ...scored, ...(!draws && { maxTokens: 1 }) },
  }
}

/** The fields of a body that are not null. Throws TypeError for one that the path has not. */
export function readFields(body: unknown, path: string, known: ReadonlySet<string>): RawOptions {
  if (!isRecord(body)) throw wrongType('body', 'an object', body)
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value != null))
  const unknown = Object.keys(given).find((name) => !known.has(name))
  if (unknown !== undefined) throw new TypeError(`${unknown}: ${path} has no such field`)
  return given
}

/** One prompt or several of a field, each a text or a list of token ids. */
export function readPrompts(field: string, prompt: unknown, body: RawOptions): readonly Prompt[] {
  const salt = cacheSaltOf(body)
  const special = body.add_special_tokens ?? null
  const options = {
    ...salt,
    ...(special !== null && { addSpecialTokens: checkBoolean('add_special_tokens', special) }),
  }
  const plain = Object.keys(options).length === 0
  const text = (value: string): Prompt => (plain ? value : { prompt: value, ...options })
  const ids = (value: unknown): Prompt => ({ promptTokenIds: value as number[], ...salt })
  if (typeof prompt === 'string') return [text(prompt)]
  if (!Array.isArray(prompt)) {
    throw wrongType(field, 'a string, an array of strings, or token ids', prompt)
  }
  if (prompt.length === 0) throw outOfRange(field, 'at least one', prompt)
  if (typeof prompt[0] === 'number') return [ids(prompt)]
  return checkArray(field, prompt, (name, element) => {
    if (typeof element === 'string') return text(element)
    if (Array.isArray(element)) return ids(element)
    throw wrongType(name, 'a string or an array of token ids', element)
  })
}

/** What a chat's prompt is made of, and how its reply is read. */
export function readChat(body: RawOptions) {
  const { messages } = body
  if (!Array.isArray(messages)) throw wrongType('messages', 'an array', messages)
  const { tools, ...calling } = readTools(body)
  const continues = flag(body, 'continue_final_message', false)
  const chat: ChatOptions = {
    variables: readVariables(body),
    addGenerationPrompt: flag(body, 'add_generation_prompt', !continues),
    continueFinalMessage: continues,
    ...cacheSaltOf(body),
    ...(tools && { tools }),
  }
  return {
    messages: messages as readonly ChatTurn[],
    chat,
    ...calling,
    includeReasoning: flag(body, 'include_reasoning', true),
  }
}

/** Variables of the template; vLLM passes on a few fields by their names. */
function readVariables({ chat_template_kwargs: given, reasoning_effort, documents }: RawOptions) {
  return {
    ...(reasoning_effort != null && { reasoning_effort }),
    ...(documents != null && { documents }),
    ...recordOf('chat_template_kwargs', given),
  }
}

/** The salt of a body's prompts, if it gives one. */
export function cacheSaltOf({ cache_salt: salt }: RawOptions): { readonly cacheSalt?: string } {
  return salt == null ? {} : { cacheSalt: checkText('cache_salt', salt) }
}

function flag(body: RawOptions, name: string, fallback: boolean, prefix = ''): boolean {
  return checkBoolean(prefix + name, body[name] ?? fallback)
}
