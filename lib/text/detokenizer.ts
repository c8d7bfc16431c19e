import type { TokenPieces } from './token-pieces.js'

export interface DetokenizerOptions {
  /** Leave special tokens out of the text. Default true. */
  readonly skipSpecialTokens?: boolean
  /** What the text continues: its first token then keeps the space before it. */
  readonly promptTokenIds?: ArrayLike<number>
}

/** A character has at most four bytes, so that one can be unfinished over three tokens. */
const PROMPT_TOKENS_READ = 3

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })
const NO_BYTES = new Uint8Array(0)

/**
 * Turns one sequence's tokens into text as they come, whole characters only. All that was pushed and
 * then flushed is the text of the tokens decoded at once. The cost of a token does not depend on those
 * before it: what is kept between two is the bytes of an unfinished character.
 *
 * @example
 * const detokenizer = new Detokenizer(tokenizer.pieces, { promptTokenIds })
 * for (const id of ids) process.stdout.write(detokenizer.push(id))
 * process.stdout.write(detokenizer.flush())
 */
export class Detokenizer {
  readonly #pieces: TokenPieces
  readonly #skipSpecialTokens: boolean
  #unfinished = NO_BYTES
  /** No token has counted yet. */
  #first = true
  #spacesToDrop: number

  constructor(pieces: TokenPieces, options: DetokenizerOptions = {}) {
    this.#pieces = pieces
    this.#skipSpecialTokens = options.skipSpecialTokens ?? true
    this.#spacesToDrop = pieces.leadingSpaces
    if (options.promptTokenIds) this.#follow(options.promptTokenIds)
  }

  /** Adds a token; gives the new text, which is empty while a character is unfinished. */
  push(tokenId: number): string {
    if (!this.#counts(tokenId)) return ''
    const piece = this.#first ? this.#pieces.firstPiece(tokenId) : this.#pieces.piece(tokenId)
    this.#first = false
    const whole = this.#unfinished.length === 0 ? piece.text : null
    const text = whole ?? this.#join(piece.bytes)
    return this.#spacesToDrop === 0 ? text : this.#dropSpaces(text)
  }

  /** Gives what an unfinished character left: U+FFFD, or nothing. */
  flush(): string {
    const text = utf8.decode(this.#unfinished)
    this.#unfinished = NO_BYTES
    return text
  }

  #counts(tokenId: number): boolean {
    if (this.#skipSpecialTokens && this.#pieces.isSpecial(tokenId)) return false
    return this.#pieces.has(tokenId)
  }

  #follow(promptTokenIds: ArrayLike<number>): void {
    const last: number[] = []
    for (let i = promptTokenIds.length - 1; i >= 0 && last.length < PROMPT_TOKENS_READ; i--) {
      const tokenId = promptTokenIds[i]!
      if (this.#counts(tokenId)) last.unshift(tokenId)
    }
    if (last.length === 0) return
    this.#first = false
    this.#spacesToDrop = 0
    for (const tokenId of last) this.push(tokenId)
  }

  #join(bytes: Uint8Array): string {
    const all = new Uint8Array(this.#unfinished.length + bytes.length)
    all.set(this.#unfinished)
    all.set(bytes, this.#unfinished.length)
    const end = finishedLength(all)
    this.#unfinished = all.subarray(end)
    return utf8.decode(all.subarray(0, end))
  }

  #dropSpaces(text: string): string {
    let start = 0
    while (start < this.#spacesToDrop && text[start] === ' ') start++
    const onlySpaces = start === text.length
    this.#spacesToDrop = onlySpaces ? this.#spacesToDrop - start : 0
    return text.slice(start)
  }
}

/** Bytes before the last character if that lacks some of its bytes, else all of them. */
export function finishedLength(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back]!
    const continues = (byte & 0xc0) === 0x80
    if (!continues) return characterLength(byte) > back ? bytes.length - back : bytes.length
  }
  return bytes.length
}

function characterLength(leadingByte: number): number {
  if (leadingByte < 0xc2 || leadingByte > 0xf4) return 1
  if (leadingByte < 0xe0) return 2
  return leadingByte < 0xf0 ? 3 : 4
}
