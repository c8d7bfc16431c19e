const EMPTY = 0

/**
 * Finds where the last tokens of a sequence stood before: by a hash table over all its runs of `min` to
 * `max` tokens, which grows with the sequence. A run is noted by where it ended last, and compared by
 * its tokens, so that one table serves all lengths. The sequence's tokens must not change.
 */
export class NgramIndex {
  readonly #min: number
  readonly #max: number
  /** Places before which there are no tokens. */
  readonly #first: number
  /** Ends of runs, by their hash; a full slot's run moves on to the next. */
  #ends = new Int32Array(0)
  #used = 0
  /** All runs that end up to here are in the table. */
  #indexed: number

  constructor(min: number, max: number, first = 0) {
    this.#min = min
    this.#max = max
    this.#first = this.#indexed = first
  }

  /**
   * The place behind the last earlier occurrence of the longest run that ends the sequence; 0 where not
   * even its last `min` tokens stood before.
   */
  match(tokens: Int32Array, length: number): number {
    if (length - this.#first <= this.#min) return 0
    this.#indexUpTo(tokens, length - 1)
    for (let n = Math.min(this.#max, length - this.#first); n >= this.#min; n--) {
      const end = this.#ends[this.#slotOf(tokens, length, n)]!
      if (end !== EMPTY) return end
    }
    return 0
  }

  #indexUpTo(tokens: Int32Array, length: number): void {
    const runs = this.#max - this.#min + 1
    while (this.#indexed < length) {
      if (2 * (this.#used + runs) >= this.#ends.length) this.#grow(runs * (length + 1))
      this.#add(tokens, ++this.#indexed)
    }
  }

  /** An empty table that is half full with so many runs more than now. */
  #grow(runs: number): void {
    this.#ends = new Int32Array(2 ** Math.ceil(Math.log2(2 * (this.#used + runs))))
    this.#used = 0
    this.#indexed = this.#first
  }

  #add(tokens: Int32Array, end: number): void {
    for (let n = this.#min; n <= Math.min(this.#max, end - this.#first); n++) {
      const slot = this.#slotOf(tokens, end, n)
      if (this.#ends[slot] === EMPTY) this.#used++
      this.#ends[slot] = end
    }
  }

  /** The slot of the `n` tokens before `end`: an equal run's, or the free one where theirs belongs. */
  #slotOf(tokens: Int32Array, end: number, n: number): number {
    const mask = this.#ends.length - 1
    let slot = hashOf(tokens, end, n) & mask
    for (;;) {
      const other = this.#ends[slot]!
      if (other === EMPTY || areEqual(tokens, other, end, n)) return slot
      slot = (slot + 1) & mask
    }
  }
}

function hashOf(tokens: Int32Array, end: number, n: number): number {
  let hash = n
  for (let i = end - n; i < end; i++) {
    hash = Math.imul(hash ^ tokens[i]!, 0x9e3779b1)
    hash ^= hash >>> 15
  }
  return hash
}

function areEqual(tokens: Int32Array, a: number, b: number, n: number): boolean {
  for (let i = 1; i <= n; i++) if (tokens[a - i] !== tokens[b - i]) return false
  return true
}
