import type { Recognizer, State } from './recognizer.js'
import type { TokenTrie } from './token-trie.js'

/** One output on its way through a grammar. */
export class Matcher {
  readonly #recognizer: Recognizer
  readonly #trie: TokenTrie
  /** After each token, the state before the first one ahead; null once a token was not allowed. */
  readonly #states: (State | null)[]

  constructor(recognizer: Recognizer, trie: TokenTrie) {
    this.#recognizer = recognizer
    this.#trie = trie
    this.#states = [recognizer.start]
  }

  /**
   * Adds a token; false where the grammar does not allow it, and then for all that follow. Throws
   * RangeError where it is beyond its limits, and then holds a token that is not allowed.
   */
  accept(token: number): boolean {
    const state = this.#states.at(-1) ?? null
    const place = this.#states.push(null) - 1
    const next = state && this.#trie.accept(this.#recognizer, state, token)
    this.#states[place] = next
    return next !== null
  }

  /** Takes the last tokens back. */
  rollback(count: number): void {
    this.#states.length = Math.max(1, this.#states.length - count)
  }

  /** One bit a token that may come next; null where none may, as a token before was not allowed. */
  mask(): Int32Array | null {
    const state = this.#states.at(-1) ?? null
    return state && this.#trie.mask(this.#recognizer, state)
  }
}
