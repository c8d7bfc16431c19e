import {
  checkBoolean,
  checkInteger,
  checkOptions,
  checkText,
  refuseUnlanded,
  wrongType,
} from '../check.js'
import type { EmbeddedRows } from '../scheduling/sequence.js'
import { checkLoraRequest, type LoraRequest } from './lora-request.js'
import { parseEmbeds, type EmbedsInput } from './prompt-embeds.js'

/** What goes with a prompt of any kind. */
interface PromptOptions {
  /** Prompts share cached blocks only with prompts of the same salt. */
  readonly cacheSalt?: string
  /** The adapter (LoRA) that it is computed with. Default: the call's, or none. */
  readonly loraRequest?: LoraRequest
}

/** Token ids in place of text. */
export interface TokensPrompt extends PromptOptions {
  readonly promptTokenIds: readonly number[] | Int32Array
}

/** Text with options of its own. */
export interface TextPrompt extends PromptOptions {
  readonly prompt: string
  /** Add what the model expects around a text, such as its begin token. Default true. */
  readonly addSpecialTokens?: boolean
}

/**
 * Vectors in place of tokens, as the model's table of embeddings has them for tokens: its rows, before
 * any factor that the model multiplies them by. Text or token ids beside them follow.
 *
 * @example
 * const promptEmbeds = { data: new Float32Array(5 * 576), shape: [5, 576] }
 * await engine.generate({ promptEmbeds, prompt: 'What is this?' })
 */
export interface EmbedsPrompt extends PromptOptions {
  /** Rows of finite numbers, as many in each as the table has columns. */
  readonly promptEmbeds: EmbedsInput
  readonly prompt?: string
  readonly promptTokenIds?: readonly number[] | Int32Array
  /** As of a text. Default true. */
  readonly addSpecialTokens?: boolean
}

/** What a request continues: text, token ids, or vectors in their place. */
export type Prompt = string | TextPrompt | TokensPrompt | EmbedsPrompt

/** A prompt in one shape: its text, if it has one, and its ids, if they are known. */
export interface ParsedPrompt {
  readonly text: string | null
  readonly tokenIds: readonly number[] | Int32Array | null
  /** What comes before them; null: nothing. */
  readonly embeds: EmbeddedRows | null
  readonly cacheSalt: string | null
  /** null: it is computed with the model alone. */
  readonly lora: LoraRequest | null
  /** False when the text already holds its special tokens, as a chat template's does. */
  readonly addSpecialTokens: boolean
  /** The chat template that made the text; absent: none did. */
  readonly chatTemplate?: string
}

const UNLANDED = ['multiModalData']
const KNOWN: ReadonlySet<string> = new Set([
  ...['prompt', 'promptTokenIds', 'addSpecialTokens', 'cacheSalt', 'loraRequest'],
  ...['promptEmbeds', ...UNLANDED],
])

/**
 * Checks a prompt's shape; `lora` is the call's adapter. Throws TypeError naming the field, not_supported for what has
 * not landed.
 */
export function parsePrompt(prompt: unknown, lora: LoraRequest | null = null): ParsedPrompt {
  if (typeof prompt === 'string') {
    const none = { tokenIds: null, embeds: null, cacheSalt: null }
    return { text: prompt, ...none, lora, addSpecialTokens: true }
  }
  if (typeof prompt !== 'object' || prompt === null || Array.isArray(prompt)) {
    throw wrongType(
      'prompt',
      'a string, { prompt }, { promptTokenIds } or { promptEmbeds }',
      prompt,
    )
  }
  const fields = checkOptions(prompt, 'prompt field', KNOWN)
  refuseUnlanded(fields, UNLANDED, 'prompt.')
  const text = (name: string) =>
    fields[name] === undefined ? null : checkText(`prompt.${name}`, fields[name])
  const given = fields.promptEmbeds
  const embeds = given === undefined ? null : parseEmbeds(given)
  const { loraRequest } = fields
  const own = loraRequest === undefined ? lora : checkLoraRequest('prompt.loraRequest', loraRequest)
  const parsed = { text: text('prompt'), cacheSalt: text('cacheSalt'), lora: own, embeds }
  const ids = fields.promptTokenIds
  if (ids !== undefined) return { ...parsed, tokenIds: idsOf(ids), addSpecialTokens: false }
  if (parsed.text === null && embeds) return { ...parsed, tokenIds: [], addSpecialTokens: false }
  if (parsed.text === null) throw wrongType('prompt.prompt', 'a string', fields.prompt)
  const addSpecialTokens = checkBoolean('prompt.addSpecialTokens', fields.addSpecialTokens ?? true)
  return { ...parsed, tokenIds: null, addSpecialTokens }
}

function idsOf(ids: unknown): readonly number[] | Int32Array {
  if (ids instanceof Int32Array || Array.isArray(ids)) return ids as readonly number[] | Int32Array
  throw wrongType('prompt.promptTokenIds', 'an array of integers', ids)
}

/** Checks that every id is one of the vocabulary. Throws RangeError naming the position. */
export function checkTokenIds(
  ids: ArrayLike<unknown>,
  vocabSize: number,
  name = 'prompt.promptTokenIds',
): void {
  const range = { min: 0, max: vocabSize - 1 }
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]
    const known = typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < vocabSize
    if (!known) checkInteger(`${name}[${i}]`, id, range)
  }
}

/** One prompt or several, as several. */
export function promptList(prompts: Prompt | readonly Prompt[]): readonly Prompt[] {
  return Array.isArray(prompts) ? (prompts as readonly Prompt[]) : [prompts as Prompt]
}
