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

/** Both forms, even of unlike lengths: a word of two tokens may be a single one after a space. */
function encodeWord(word: string, tokenizer: Tokenizer): Int32Array[] {
  const forms = [word.trimStart(), ` ${word.trimStart()}`]
  return forms
    .map((form) => tokenizer.encode(form, { addSpecialTokens: false }))
    .filter(({ length }) => length > 0)
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
