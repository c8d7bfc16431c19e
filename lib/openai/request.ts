import {
  checkArray,
  checkText,
  describe,
  outOfRange,
  wrongType,
  type RawOptions,
} from '../check.js'
import type { SamplingOptions } from '../sampling-params.js'
import type { ChatTurn } from '../text/chat-template.js'
import { readSampling, type OpenAiEndpoint } from './params.js'
import type { Prompt } from '../engine/prompt.js'

interface SharedParts {
  /** The model that the body names; null if it names none. */
  readonly model: string | null
  readonly stream: boolean
  readonly params: SamplingOptions
}

/** A body of /v1/completions, read. */
export interface CompletionRequest extends SharedParts {
  readonly endpoint: '/v1/completions'
  readonly prompts: readonly Prompt[]
}

/** A body of /v1/chat/completions, read. */
export interface ChatRequest extends SharedParts {
  readonly endpoint: '/v1/chat/completions'
  readonly messages: readonly ChatTurn[]
  readonly variables: Readonly<Record<string, unknown>>
}

export type OpenAiRequest = CompletionRequest | ChatRequest

/** Whether an OpenAI path is one that a generating model answers. */
export function isOpenAiEndpoint(url: unknown): url is OpenAiEndpoint {
  return url === '/v1/completions' || url === '/v1/chat/completions'
}

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
  const stream = body.stream ?? false
  if (typeof stream !== 'boolean') throw wrongType('stream', 'true or false', stream)
  const shared = {
    model: model === null ? null : checkText('model', model),
    stream,
    params: readSampling(endpoint, body),
  }
  if (endpoint === '/v1/completions') return { endpoint, ...shared, prompts: readPrompts(body) }
  return { endpoint, ...shared, ...readChat(body) }
}

/** One prompt or several, each a text or a list of token ids. */
function readPrompts({ prompt }: RawOptions): readonly Prompt[] {
  if (typeof prompt === 'string') return [prompt]
  const expected = 'a string, an array of strings, or token ids'
  if (!Array.isArray(prompt)) throw wrongType('prompt', expected, prompt)
  if (prompt.length === 0) throw outOfRange('prompt', 'at least one', prompt)
  if (typeof prompt[0] === 'number') return [{ promptTokenIds: prompt as number[] }]
  return checkArray('prompt', prompt, (name, element) => {
    if (typeof element === 'string') return element
    if (Array.isArray(element)) return { promptTokenIds: element as number[] }
    throw wrongType(name, 'a string or an array of token ids', element)
  })
}

function readChat(body: RawOptions) {
  const { messages, chat_template_kwargs: given } = body
  if (!Array.isArray(messages)) throw wrongType('messages', 'an array', messages)
  const variables = given ?? {}
  if (!isRecord(variables)) {
    throw wrongType('chat_template_kwargs', 'an object', variables)
  }
  return { messages: messages as readonly ChatTurn[], variables }
}

/** Throws RangeError unless the model that a request names is one of those served. */
export function checkServedModel(model: string | null, served: readonly string[]): void {
  if (model === null || served.includes(model)) return
  throw new RangeError(
    `model: expected ${served.map((name) => JSON.stringify(name)).join(' or ')} or none, found ${describe(model)}`,
  )
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
