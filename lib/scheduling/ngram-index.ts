const EMPTY = 0

const LENGTH_BITS = 5

/** The most tokens of a run. */
export const LONGEST_RUN = 1 << LENGTH_BITS

/** Tokens that one look-up adds at most: a prompt of 100,000 is spread over some steps. */
const MOST_AT_ONCE = 4096

/**
 * Finds where the last tokens of a sequence stood before: by a hash table over all its runs of `min` to
 * `max` tokens, which grows with the sequence. The sequence's tokens must not change.
 */
export class NgramIndex {
  readonly #min: number
  readonly #max: number
  /** Places before which there are no tokens. */
  readonly #first: number
  /** Each run by where it ended last, end × LONGEST_RUN + length − 1, in the first free slot from its hash on. */
  #slots = new Int32Array(0)
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
   * even its last `min` tokens stood before, or the index has still to catch up with a long prompt.
   */
  match(tokens: Int32Array, length: number): number {
    this.#indexUpTo(tokens, length - 1)
    if (this.#indexed < length - 1) return 0
    for (let n = Math.min(this.#max, length - this.#first); n >= this.#min; n--) {
      const run = this.#slots[this.#slotOf(tokens, length, n)]!
      if (run !== EMPTY) return run >> LENGTH_BITS
    }
    return 0
  }

  #indexUpTo(tokens: Int32Array, length: number): void {
    const runs = (this.#max - this.#min + 1) * (length + 1 - this.#indexed)
    if (2 * (this.#used + runs) > this.#slots.length) this.#grow(runs)
    const end = Math.min(length, this.#indexed + MOST_AT_ONCE)
    while (this.#indexed < end) this.#add(tokens, ++this.#indexed)
  }

  /** A table with room for so many runs more than now, to be filled anew. */
  #grow(runs: number): void {
    this.#slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * (this.#used + runs))))
    this.#used = 0
    this.#indexed = this.#first
  }

  #add(tokens: Int32Array, end: number): void {
    for (let n = this.#min; n <= Math.min(this.#max, end - this.#first); n++) {
      const slot = this.#slotOf(tokens, end, n)
      if (this.#slots[slot] === EMPTY) this.#used++
      this.#slots[slot] = (end << LENGTH_BITS) + n - 1
    }
  }

  /** The slot of the `n` tokens before `end`: an equal run's, or the free one where theirs belongs. */
  #slotOf(tokens: Int32Array, end: number, n: number): number {
    const mask = this.#slots.length - 1
    let slot = hashOf(tokens, end, n) & mask
    for (;;) {
      const run = this.#slots[slot]!
      if (run === EMPTY || isRun(run, tokens, end, n)) return slot
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

/** Whether a slot holds the run of `n` tokens that ends at `end`. */
function isRun(run: number, tokens: Int32Array, end: number, n: number): boolean {
  if ((run & (LONGEST_RUN - 1)) !== n - 1) return false
  const other = run >> LENGTH_BITS
  for (let i = 1; i <= n; i++) if (tokens[other - i] !== tokens[end - i]) return false
  return true
}
