import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { EngineError } from '../errors.js'
import type { DecoderConfig } from './token-decoder.js'

/** A tokenizer_config.json, as far as it is read here. Each part may be missing. */
export interface TokenizerConfig {
  readonly bos_token?: NamedToken
  readonly eos_token?: NamedToken
  readonly pad_token?: NamedToken
  readonly unk_token?: NamedToken
  readonly additional_special_tokens?: readonly NamedToken[] | null
  /** A list, or an object by role. */
  readonly extra_special_tokens?:
    readonly NamedToken[] | Readonly<Record<string, NamedToken>> | null
  readonly chat_template?: unknown
  readonly tokenizer_class?: unknown
  readonly add_bos_token?: unknown
  readonly add_prefix_space?: unknown
}

/** What a tokenizer.json says, as far as it is read here. */
export interface TokenizerJson {
  readonly model: {
    readonly type?: unknown
    /** Ids by token; a Map where it was made from another kind of file. */
    readonly vocab?: unknown
    readonly merges?: unknown
    readonly unk_token?: unknown
    readonly [field: string]: unknown
  }
  readonly decoder: DecoderConfig | null
  readonly added_tokens: readonly AddedToken[]
}

export interface AddedToken {
  readonly [field: string]: unknown
  readonly id: number
  readonly content: string
  readonly special?: boolean
}

/** A tokenizer as a Hugging Face folder holds it. */
export interface TokenizerSource {
  /** The text of tokenizer.json, or what it would say where there is no such file. */
  readonly tokenizerJson: string | TokenizerJson
  readonly config: TokenizerConfig
}

/** The text of a tokenizer.json. */
export function tokenizerText(json: string | TokenizerJson): string {
  if (typeof json === 'string') return json
  const { vocab } = json.model
  const written = vocab instanceof Map ? (Object.fromEntries(vocab) as object) : vocab
  return JSON.stringify({ ...json, model: { ...json.model, vocab: written } })
}

/** Named by its text, or by an object that holds it. */
export type NamedToken = string | { readonly content: string } | null

/** A token's text. */
export function contentOf(token: NamedToken | undefined): string | null {
  return typeof token === 'string' ? token : (token?.content ?? null)
}

/** A folder's tokenizer_config.json; empty where there is none. */
export async function loadTokenizerConfig(folder: string): Promise<TokenizerConfig> {
  return (await readObject(join(folder, 'tokenizer_config.json'))) ?? {}
}

/** The object of a JSON file; null if there is no such file. */
export async function readObject(path: string): Promise<Record<string, unknown> | null> {
  const text = await readIfThere(path)
  return text === null ? null : parseObject(text, path)
}

/** JSON text that must hold an object. Throws `invalid_file` naming the path. */
export function parseObject(text: string, path: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new EngineError('invalid_file', `${path}: ${(cause as Error).message}`, { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new EngineError('invalid_file', `${path}: expected a JSON object`)
  }
  return value as Record<string, unknown>
}

/** A file's text; null if there is no such file. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
