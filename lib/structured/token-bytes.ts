import type { Tokenizer } from '../text/tokenizer.js'
import { SPECIAL, specialBytes } from './automaton.js'
import type { TokenBytes } from './token-trie.js'

const NOTHING = new Uint8Array(0)

/** What each token of a vocabulary writes: special ones a mark of their own, those that end an output nothing. */
export function tokenBytesOf(
  { pieces }: Tokenizer,
  vocabSize: number,
  endTokenIds: readonly number[],
): TokenBytes {
  const written = (token: number): Uint8Array => {
    if (!pieces.has(token) || endTokenIds.includes(token)) return NOTHING
    const { bytes, text } = pieces.piece(token)
    if (pieces.isSpecial(token)) return specialBytes(text ?? '')
    return bytes.includes(SPECIAL) ? NOTHING : bytes
  }
  const parts = Array.from({ length: vocabSize }, (_, token) => written(token))
  const starts = new Int32Array(vocabSize + 1)
  parts.forEach((bytes, token) => (starts[token + 1] = starts[token]! + bytes.length))
  const bytes = new Uint8Array(starts[vocabSize]!)
  parts.forEach((part, token) => bytes.set(part, starts[token]))
  return { bytes, starts, endTokenIds: endTokenIds.filter((token) => token < vocabSize) }
}
