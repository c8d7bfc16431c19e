import { EngineError } from '../errors.js'

/** Token ids in place of text. */
export interface TokensPrompt {
  readonly promptTokenIds: readonly number[] | Int32Array
  /** Prompts share cached blocks only with prompts of the same salt. */
  readonly cacheSalt?: string
}

/** Text with options of its own. */
export interface TextPrompt {
  readonly prompt: string
  /** Prompts share cached blocks only with prompts of the same salt. */
  readonly cacheSalt?: string
}

/** What a request continues: text, or token ids. */
export type Prompt = string | TextPrompt | TokensPrompt

/** A prompt in one shape: its text, if it has one, and its ids, if they are known. */
export interface ParsedPrompt {
  readonly text: string | null
  readonly tokenIds: readonly number[] | Int32Array | null
  readonly cacheSalt: string | null
  /** False when the text already holds its special tokens, as a chat template's does. */
  readonly addSpecialTokens: boolean
}

const UNLANDED = ['loraRequest', 'promptEmbeds', 'multiModalData'] as const

/** Checks a prompt's shape. Throws TypeError naming the field, not_supported for what has not landed. */
export function parsePrompt(prompt: Prompt): ParsedPrompt {
  if (typeof prompt === 'string') return textPrompt(prompt, null)
  if (typeof prompt !== 'object' || prompt === null || Array.isArray(prompt)) {
    throw new TypeError(
      `prompt: expected a string, { prompt } or { promptTokenIds }, found ${describe(prompt)}`,
    )
  }
  const fields = prompt as unknown as Record<string, unknown>
  for (const name of UNLANDED) {
    if (fields[name] !== undefined) {
      throw new EngineError('not_supported', `prompt.${name} is not supported by this version`)
    }
  }
  const known = new Set(['prompt', 'promptTokenIds', 'cacheSalt', ...UNLANDED])
  const stranger = Object.keys(fields).find((name) => !known.has(name))
  if (stranger !== undefined) {
    throw new TypeError(`prompt.${stranger}: unknown field; known: ${[...known].join(', ')}`)
  }
  const salt = fields['cacheSalt'] ?? null
  if (salt !== null && typeof salt !== 'string') {
    throw new TypeError(`prompt.cacheSalt: expected a string, found ${describe(salt)}`)
  }
  if (fields['promptTokenIds'] === undefined) return textPrompt(fields['prompt'], salt)
  return { ...tokensPrompt(fields['promptTokenIds'], salt), text: optionalText(fields['prompt']) }
}

function textPrompt(text: unknown, cacheSalt: string | null): ParsedPrompt {
  if (typeof text !== 'string') {
    throw new TypeError(`prompt: expected a string, found ${describe(text)}`)
  }
  return { text, tokenIds: null, cacheSalt, addSpecialTokens: true }
}

function tokensPrompt(ids: unknown, cacheSalt: string | null): ParsedPrompt {
  if (!Array.isArray(ids) && !(ids instanceof Int32Array)) {
    throw new TypeError(`prompt.promptTokenIds: expected an array, found ${describe(ids)}`)
  }
  return {
    text: null,
    tokenIds: ids as readonly number[] | Int32Array,
    cacheSalt,
    addSpecialTokens: false,
  }
}

function optionalText(text: unknown): string | null {
  if (text === undefined) return null
  if (typeof text !== 'string') {
    throw new TypeError(`prompt.prompt: expected a string, found ${describe(text)}`)
  }
  return text
}

/** Checks that every id is one of the vocabulary. Throws RangeError naming the position. */
export function checkTokenIds(ids: ArrayLike<number>, vocabSize: number): void {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i] as unknown
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= vocabSize) {
      throw new RangeError(
        `prompt.promptTokenIds[${i}]: expected an integer from 0 to ${vocabSize - 1}, found ${String(id)}`,
      )
    }
  }
}

function describe(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : `a value of type ${typeof value}`
}
