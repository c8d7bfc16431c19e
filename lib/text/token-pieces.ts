import type { TokenDecoder } from './token-decoder.js'

/** What one token adds to a text. */
export interface Piece {
  /** UTF-8; may begin or end within a character. */
  readonly bytes: Uint8Array
  /** The same as text; null if it is not whole characters. */
  readonly text: string | null
}

export interface Vocabulary {
  /** By token id; holes are ids that stand for nothing. */
  readonly tokens: readonly (string | undefined)[]
  /** Tokens beside the model's own, by id. */
  readonly addedIds: ReadonlySet<number>
  /** Tokens that are no part of the text, such as the end token. */
  readonly specialIds: ReadonlySet<number>
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The pieces of text that a vocabulary's tokens stand for; each is computed once. */
export class TokenPieces {
  readonly #vocabulary: Vocabulary
  readonly #decoder: TokenDecoder
  readonly #pieces: (Piece | undefined)[]

  constructor(vocabulary: Vocabulary, decoder: TokenDecoder) {
    this.#vocabulary = vocabulary
    this.#decoder = decoder
    this.#pieces = new Array<undefined>(vocabulary.tokens.length)
  }

  /** Spaces to drop from the start of a whole text. */
  get leadingSpaces(): number {
    return this.#decoder.leadingSpaces
  }

  has(tokenId: number): boolean {
    return this.#vocabulary.tokens[tokenId] !== undefined
  }

  isSpecial(tokenId: number): boolean {
    return this.#vocabulary.specialIds.has(tokenId)
  }

  /** A token's piece anywhere but at the start of a text. */
  piece(tokenId: number): Piece {
    return (this.#pieces[tokenId] ??= this.#create(tokenId, false))
  }

  /** A token's piece at the start of a text. */
  firstPiece(tokenId: number): Piece {
    return this.#create(tokenId, true)
  }

  #create(tokenId: number, first: boolean): Piece {
    const token = this.#vocabulary.tokens[tokenId]
    if (token === undefined) return { bytes: new Uint8Array(0), text: '' }
    const added = this.#vocabulary.addedIds.has(tokenId)
    const bytes = added
      ? this.#decoder.bytesOfAdded(token, first)
      : this.#decoder.bytesOf(token, first)
    return { bytes, text: wholeText(bytes) }
  }
}

function wholeText(bytes: Uint8Array): string | null {
  try {
    return strictUtf8.decode(bytes)
  } catch {
    return null
  }
}
