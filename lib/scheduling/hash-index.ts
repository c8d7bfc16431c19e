import { HASH_WORDS } from './block-hash.js'

const ABSENT = -1
const END = 0

/**
 * Finds the block with a given hash: a chained hash table whose links are the block ids themselves,
 * so that nothing is allocated after the start. Block 0 is never in it and ends each chain.
 */
export class HashIndex {
  readonly #heads: Int32Array
  readonly #next: Int32Array
  readonly #hashes: Int32Array
  readonly #mask: number

  constructor(numBlocks: number) {
    const buckets = 2 ** Math.ceil(Math.log2(2 * numBlocks))
    this.#heads = new Int32Array(buckets).fill(END)
    this.#next = new Int32Array(numBlocks).fill(ABSENT)
    this.#hashes = new Int32Array(numBlocks * HASH_WORDS)
    this.#mask = buckets - 1
  }

  has(block: number): boolean {
    return this.#next[block] !== ABSENT
  }

  /** The block with the hash at `hashes[at …]`, or 0. */
  find(hashes: Int32Array, at: number): number {
    let block = this.#heads[hashes[at]! & this.#mask]!
    while (block !== END && !this.#equals(block, hashes, at)) block = this.#next[block]!
    return block
  }

  /** Neither the block nor another one with the same hash may be in the index. */
  insert(block: number, hashes: Int32Array, at: number): void {
    const bucket = hashes[at]! & this.#mask
    for (let i = 0; i < HASH_WORDS; i++) this.#hashes[block * HASH_WORDS + i] = hashes[at + i]!
    this.#next[block] = this.#heads[bucket]!
    this.#heads[bucket] = block
  }

  /** The block must be in the index. */
  remove(block: number): void {
    const bucket = this.#hashes[block * HASH_WORDS]! & this.#mask
    const after = this.#next[block]!
    let before = this.#heads[bucket]!
    if (before === block) {
      this.#heads[bucket] = after
    } else {
      while (this.#next[before] !== block) before = this.#next[before]!
      this.#next[before] = after
    }
    this.#next[block] = ABSENT
  }

  #equals(block: number, hashes: Int32Array, at: number): boolean {
    const own = block * HASH_WORDS
    for (let i = 0; i < HASH_WORDS; i++) if (this.#hashes[own + i] !== hashes[at + i]) return false
    return true
  }
}
