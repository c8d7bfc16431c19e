import type { Tokenizer } from '../text/tokenizer.js'
import type { TokenBytes } from './token-trie.js'

/** What each token of a vocabulary writes. Special tokens, and those that end an output, write nothing. */
export function tokenBytesOf(
  { pieces }: Tokenizer,
  vocabSize: number,
  endTokenIds: readonly number[],
): TokenBytes {
  const silent = (token: number) =>
    !pieces.has(token) || pieces.isSpecial(token) || endTokenIds.includes(token)
  const parts = Array.from({ length: vocabSize }, (_, token) =>
    silent(token) ? new Uint8Array(0) : pieces.piece(token).bytes,
  )
  const starts = new Int32Array(vocabSize + 1)
  parts.forEach((bytes, token) => (starts[token + 1] = starts[token]! + bytes.length))
  const bytes = new Uint8Array(starts[vocabSize]!)
  parts.forEach((part, token) => bytes.set(part, starts[token]))
  return { bytes, starts, endTokenIds: endTokenIds.filter((token) => token < vocabSize) }
}
