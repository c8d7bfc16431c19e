import type { Tokenizer } from './tokenizer.js'

/**
 * Keeps words out of an output, as vLLM's bad_words: each word is encoded with and without a space
 * before it, and its last token is banned where the tokens before it have been drawn.
 *
 * @example
 * const badWords = new BadWords(['magic'], tokenizer)
 * badWords.banned(sequence.tokens, sequence.promptLength, sequence.length) // ids not to draw now
 */
export class BadWords {
  readonly #sequences: readonly Int32Array[]

  constructor(words: readonly string[], tokenizer: Tokenizer) {
    this.#sequences = words.flatMap((word) => encodeWord(word, tokenizer))
  }

  /** The ids that may not follow the output `tokens[start … end − 1]`. */
  banned(tokens: ArrayLike<number>, start: number, end: number): number[] {
    return this.#sequences
      .filter((sequence) => endsWithBeginning(sequence, tokens, start, end))
      .map((sequence) => sequence.at(-1)!)
  }
}

function encodeWord(word: string, tokenizer: Tokenizer): Int32Array[] {
  const trimmed = word.trimStart()
  const plain = tokenizer.encode(trimmed, { addSpecialTokens: false })
  const spaced = tokenizer.encode(` ${trimmed}`, { addSpecialTokens: false })
  // A space that became a token of its own, or none, leaves the plain form to be found after it.
  const differs = spaced[0] !== plain[0] && spaced.length === plain.length
  return [plain, ...(differs ? [spaced] : [])].filter(({ length }) => length > 0)
}

/** Whether the text ends with all of a sequence but its last token. */
function endsWithBeginning(
  sequence: Int32Array,
  tokens: ArrayLike<number>,
  start: number,
  end: number,
): boolean {
  const count = sequence.length - 1
  if (end - start < count) return false
  for (let i = 0; i < count; i++) {
    if (tokens[end - count + i] !== sequence[i]) return false
  }
  return true
}
