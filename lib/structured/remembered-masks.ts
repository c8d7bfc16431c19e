import type { State } from './recognizer.js'

/** Bytes of all masks that are remembered. */
const MAX_BYTES = 256 * 2 ** 20

/**
 * Bounds the masks that the states of all grammars hold: beyond, the oldest is forgotten, and looked up
 * again where it is needed. A state that is gone took its mask with it, as no state is kept from here.
 */
export class RememberedMasks {
  readonly #capacity: number
  /** A ring, in the order in which the masks came. */
  readonly #owners: WeakRef<State>[] = []
  #oldest = 0

  /** @param words numbers of 32 bits that a mask has */
  constructor(words: number, maxBytes = MAX_BYTES) {
    const bytes = Int32Array.BYTES_PER_ELEMENT * words
    this.#capacity = Math.max(1, Math.floor(maxBytes / bytes))
  }

  add(state: State, mask: Int32Array): void {
    const oldest = this.#owners[this.#oldest]?.deref()
    if (oldest !== undefined) oldest.mask = null
    state.mask = mask
    this.#owners[this.#oldest] = new WeakRef(state)
    this.#oldest = (this.#oldest + 1) % this.#capacity
  }
}
