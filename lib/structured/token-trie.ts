import type { Recognizer, State } from './recognizer.js'
import { RememberedMasks } from './remembered-masks.js'

/** The bytes of all tokens one after the other; token t is bytes[starts[t] … starts[t + 1] − 1]. */
export interface TokenBytes {
  readonly bytes: Uint8Array
  readonly starts: Int32Array
  /** Tokens that end an output: allowed where a text may end. */
  readonly endTokenIds: readonly number[]
}

const NONE = -1

/**
 * The tokens of a vocabulary by their bytes: a tree in parallel arrays, in depth-first order, so that
 * `behind[n]` skips all that continues node n.
 */
export class TokenTrie {
  readonly words: number
  readonly #tokens: TokenBytes
  readonly #remembered: RememberedMasks
  readonly #byte: Uint8Array
  readonly #depth: Uint16Array
  readonly #behind: Int32Array
  /** The first token that ends at a node, and the next one with the same bytes. */
  readonly #token: Int32Array
  readonly #twin: Int32Array

  /**
   * Tokens without bytes are never allowed.
   *
   * @param maskBytes bytes of masks that are remembered, over all grammars; default 256 MB
   */
  constructor(tokens: TokenBytes, maskBytes?: number) {
    const { bytes, starts } = tokens
    const vocabSize = starts.length - 1
    this.#tokens = tokens
    this.words = Math.ceil(vocabSize / 32)
    this.#remembered = new RememberedMasks(this.words, maskBytes)
    this.#twin = new Int32Array(vocabSize).fill(NONE)
    const of = (token: number) => bytes.subarray(starts[token], starts[token + 1])
    const texts = Array.from({ length: vocabSize }, (_, token) => Buffer.from(of(token)))
    const order = [...texts.keys()]
      .filter((token) => texts[token]!.length > 0)
      .sort((a, b) => Buffer.compare(texts[a]!, texts[b]!))
    const size = order.reduce((total, token) => total + texts[token]!.length, 0)
    this.#byte = new Uint8Array(size)
    this.#depth = new Uint16Array(size)
    this.#behind = new Int32Array(size)
    this.#token = new Int32Array(size).fill(NONE)
    this.#fill(order.map((token) => ({ token, text: texts[token]! })))
  }

  /** Sets the bits of the tokens that may come next. A state's mask is looked up once, while it is remembered. */
  mask(recognizer: Recognizer, state: State): Int32Array {
    if (state.mask !== null) return state.mask
    const mask = this.#look(recognizer, state)
    this.#remembered.add(state, mask)
    return mask
  }

  /** The state after a token; null where it is not allowed. An end token leaves it as it is. */
  accept(recognizer: Recognizer, state: State, token: number): State | null {
    const { bytes, starts, endTokenIds } = this.#tokens
    if (endTokenIds.includes(token)) return state.mayEnd ? state : null
    const end = starts[token + 1] ?? 0
    let at = starts[token] ?? 0
    if (at >= end) return null
    let next: State | null = state
    for (; at < end && next !== null; at++) next = recognizer.step(next, bytes[at]!)
    return next
  }

  #look(recognizer: Recognizer, state: State): Int32Array {
    const mask = new Int32Array(this.words)
    const allow = (token: number) => (mask[token >> 5] = mask[token >> 5]! | (1 << (token & 31)))
    if (state.mayEnd) this.#tokens.endTokenIds.forEach(allow)
    const { classOf } = recognizer
    const path: State[] = [state]
    const size = this.#size
    for (let node = 0; node < size;) {
      const byte = this.#byte[node]!
      const depth = this.#depth[node]!
      const before = path[depth]!
      const known = before.next[classOf[byte]!]
      const after = known === undefined ? recognizer.step(before, byte) : known
      if (after === null) {
        node = this.#behind[node]!
        continue
      }
      path[depth + 1] = after
      for (let token = this.#token[node]!; token !== NONE; token = this.#twin[token]!) allow(token)
      node++
    }
    return mask
  }

  #size = 0

  /** Adds texts in rising order: each continues the path of the one before as far as they are equal. */
  #fill(sorted: readonly { readonly token: number; readonly text: Buffer }[]): void {
    const path: number[] = []
    let before: Buffer = Buffer.alloc(0)
    const leave = (depth: number) => {
      while (path.length > depth) this.#behind[path.pop()!] = this.#size
    }
    for (const { token, text } of sorted) {
      let shared = 0
      while (shared < before.length && before[shared] === text[shared]) shared++
      leave(shared)
      for (let depth = shared; depth < text.length; depth++) {
        path.push(this.#size)
        this.#byte[this.#size] = text[depth]!
        this.#depth[this.#size++] = depth
      }
      const node = path.at(-1)!
      this.#twin[token] = this.#token[node]!
      this.#token[node] = token
      before = text
    }
    leave(0)
  }
}
