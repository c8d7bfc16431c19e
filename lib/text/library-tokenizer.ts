import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers'
import { EngineError, withCause } from '../errors.js'
import type { TokenizerJson } from './tokenizer-files.js'
import { hasOneSpace, type Merge } from './tokenizer-parts.js'

/** The library's tokenizer, whose own declarations do not resolve under NodeNext. */
export interface LibraryTokenizer {
  readonly model: {
    tokens_to_ids: Map<string, number>
    vocab: (string | undefined)[]
    unk_token_id?: number | undefined
    /** Of byte pairs: the rank of a merge by the JSON text of its two halves. */
    bpe_ranks?: { get(pair: string): number | undefined }
  }
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] }
  token_to_id(token: string): number | undefined
}

const Library = HuggingFaceTokenizer as unknown as new (
  json: object,
  config: object,
) => LibraryTokenizer

/**
 * Makes the library's tokenizer. The tables of byte pairs are made here and put in the library's
 * place: its own take three times as long, most of a small model's time to load.
 * Throws EngineError `invalid_file` for what is no tokenizer.
 */
export function createLibraryTokenizer(json: TokenizerJson, config: object): LibraryTokenizer {
  try {
    const { type, vocab, merges } = json.model
    if (type !== 'BPE' || !Array.isArray(merges) || typeof vocab !== 'object' || vocab === null)
      return new Library(json, config)
    const withoutTables = { ...json, model: { ...json.model, vocab: {}, merges: [] } }
    const library = new Library(withoutTables, config)
    fillTables(library.model, json, merges as readonly Merge[])
    return library
  } catch (cause) {
    throw new EngineError('invalid_file', `tokenizer.json: ${withCause(cause)}`, { cause })
  }
}

function fillTables(
  model: LibraryTokenizer['model'],
  { model: { vocab, unk_token }, added_tokens }: TokenizerJson,
  merges: readonly Merge[],
): void {
  const ids = vocab instanceof Map ? (vocab as Map<string, number>) : mapOf(vocab as object)
  const tokens = new Array<string | undefined>(ids.size)
  for (const [token, id] of ids) tokens[id] = token
  model.unk_token_id = ids.get(unk_token as string) // an added one is none to the library
  for (const { content, id } of added_tokens) {
    ids.set(content, id)
    tokens[id] = content
  }
  model.tokens_to_ids = ids
  model.vocab = tokens
  model.bpe_ranks = ranksOf(merges)
}

function mapOf(vocab: object): Map<string, number> {
  const ids = new Map<string, number>()
  for (const token in vocab) ids.set(token, (vocab as Record<string, number>)[token]!)
  return ids
}

function ranksOf(merges: readonly Merge[]) {
  const lines = merges.map((merge) => (typeof merge === 'string' ? merge : merge.join(' ')))
  if (lines.every(hasOneSpace)) return new RanksByLine(lines)
  const pairs = merges.map((merge) => (typeof merge === 'string' ? merge.split(' ', 2) : merge))
  return new Map(pairs.map((pair, rank) => [JSON.stringify(pair), rank]))
}

/** Ranks of merges as files write them: two tokens without spaces, and a space between them. */
class RanksByLine {
  readonly #ranks = new Map<string, number>()

  constructor(lines: readonly string[]) {
    for (let rank = 0; rank < lines.length; rank++) this.#ranks.set(lines[rank]!, rank)
  }

  get(pair: string): number | undefined {
    if (pair.includes('\\')) return this.#ranks.get((JSON.parse(pair) as string[]).join(' '))
    return this.#ranks.get(pair.slice(2, -2).replace('","', ' '))
  }
}
