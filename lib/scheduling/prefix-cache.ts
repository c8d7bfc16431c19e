import { HASH_WORDS, hashBlock, rootHash } from './block-hash.js'
import { NULL_BLOCK, type BlockPool } from './block-pool.js'
import type { Sequence } from './sequence.js'

/** What the cache holds of a sequence's beginning. */
export interface PrefixMatch {
  /** Leading blocks that every cache group can continue from. */
  readonly blocks: number
  /** Physical blocks of them, over all groups, that have an owner now: sharing those costs nothing. */
  readonly owned: number
}

export const noMatch: PrefixMatch = { blocks: 0, owned: 0 }

/** Keeps each group's blocks apart in the index. An odd constant, so that low bits differ too. */
const GROUP_KEY = 0x9e3779b1

/**
 * Finds full blocks by the hash of their tokens and of everything before them (block-hash.ts).
 * The pool keeps a block findable after its last owner has gone, until its memory is needed.
 */
export class PrefixCache {
  readonly #pool: BlockPool
  readonly #blockSize: number
  readonly #groups: number
  readonly #key = new Int32Array(HASH_WORDS)

  constructor(pool: BlockPool, blockSize: number, groups: number) {
    this.#pool = pool
    this.#blockSize = blockSize
    this.#groups = groups
  }

  /** Looks up the leading blocks of a sequence, `limit` at most, as far as there are hits. */
  match(sequence: Sequence, limit: number): PrefixMatch {
    let owned = 0
    for (let index = 0; index < limit; index++) {
      this.#hashUpTo(sequence, index + 1)
      let ownedHere = 0
      for (let group = 0; group < this.#groups; group++) {
        const block = this.find(sequence, index, group)
        if (block === NULL_BLOCK) return { blocks: index, owned }
        if (this.#pool.owners(block) > 0) ownedHere++
      }
      owned += ownedHere
    }
    return { blocks: limit, owned }
  }

  /** The physical block with the content of a sequence's block `index`, which `match` has hashed. */
  find(sequence: Sequence, index: number, group: number): number {
    this.#setKey(sequence, index, group)
    return this.#pool.find(this.#key, 0)
  }

  /** Offers the full blocks that a sequence has computed since the last time. */
  publish(sequence: Sequence): void {
    const full = Math.floor(sequence.computed / this.#blockSize)
    if (full <= sequence.published) return
    this.#hashUpTo(sequence, full)
    for (let index = sequence.published; index < full; index++) {
      for (let group = 0; group < this.#groups; group++) {
        this.#setKey(sequence, index, group)
        this.#pool.cache(sequence.blockTables[group]![index]!, this.#key, 0)
      }
    }
    sequence.published = full
  }

  #hashUpTo(sequence: Sequence, blocks: number): void {
    if (sequence.hashed >= blocks) return
    this.#reserve(sequence, blocks)
    const { tokens, hashes } = sequence
    const size = this.#blockSize
    for (let i = sequence.hashed; i < blocks; i++) {
      const parents = i === 0 ? rootHash(sequence.group.cacheKey) : hashes
      const parentAt = i === 0 ? 0 : (i - 1) * HASH_WORDS
      hashBlock(tokens, i * size, (i + 1) * size, parents, parentAt, hashes, i * HASH_WORDS)
    }
    sequence.hashed = blocks
  }

  #reserve(sequence: Sequence, blocks: number): void {
    if (sequence.hashes.length >= blocks * HASH_WORDS) return
    const known = Math.ceil(sequence.length / this.#blockSize)
    const grown = new Int32Array(Math.max(known, 2 * sequence.hashed) * HASH_WORDS)
    grown.set(sequence.hashes)
    sequence.hashes = grown
  }

  #setKey(sequence: Sequence, index: number, group: number): void {
    const at = index * HASH_WORDS
    for (let i = 0; i < HASH_WORDS; i++) this.#key[i] = sequence.hashes[at + i]!
    this.#key[0]! ^= Math.imul(group, GROUP_KEY)
  }
}
