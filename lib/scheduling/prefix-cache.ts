import { HASH_WORDS, hashBlock, rootHash } from './block-hash.js'
import { NULL_BLOCK, type BlockPool } from './block-pool.js'
import type { CacheLayout } from './cache-layout.js'
import type { Sequence } from './sequence.js'

/** What the cache holds of a sequence's beginning. */
export interface PrefixMatch {
  /** Leading blocks that every cache group can continue from. */
  readonly blocks: number
  /** Physical blocks of groups that keep all tokens that have an owner now: sharing those costs nothing. */
  readonly owned: number
  /** Physical blocks of them, over all groups, that have no owner: sharing takes them out of the available. */
  readonly fresh: number
}

export const noMatch: PrefixMatch = { blocks: 0, owned: 0, fresh: 0 }

/** Keeps each group's blocks apart in the index. An odd constant, so that low bits differ too. */
const GROUP_KEY = 0x9e3779b1

/**
 * Finds full blocks by the hash of their tokens and of everything before them (block-hash.ts).
 * The pool keeps a block findable after its last owner has gone, until its memory is needed.
 */
export class PrefixCache {
  readonly #pool: BlockPool
  readonly #layout: CacheLayout
  readonly #fullGroups: readonly number[]
  readonly #key = new Int32Array(HASH_WORDS)

  constructor(pool: BlockPool, layout: CacheLayout) {
    this.#pool = pool
    this.#layout = layout
    const windows = new Set(layout.windows.map(({ group }) => group))
    this.#fullGroups = layout.tokenGroups.filter((group) => !windows.has(group))
  }

  /**
   * Looks up the leading blocks of a sequence, `limit` at most: as many as every group can continue
   * from. A window needs only the blocks before the end of the hit that it still covers; states are
   * overwritten, so that nothing can continue from an earlier one.
   */
  match(sequence: Sequence, limit: number): PrefixMatch {
    const { states, windows } = this.#layout
    if (states.length > 0) return noMatch
    const match = this.#matchFull(sequence, limit)
    return windows.length === 0 ? match : this.#matchWindows(sequence, match)
  }

  /** The leading blocks that all groups hold that keep every token. */
  #matchFull(sequence: Sequence, limit: number): PrefixMatch {
    let owned = 0
    for (let index = 0; index < limit; index++) {
      this.#hashUpTo(sequence, index + 1)
      let ownedHere = 0
      for (const group of this.#fullGroups) {
        const block = this.find(sequence, index, group)
        if (block === NULL_BLOCK) return this.#matchOf(index, owned)
        if (this.#pool.owners(block) > 0) ownedHere++
      }
      owned += ownedHere
    }
    return this.#matchOf(limit, owned)
  }

  #matchOf(blocks: number, owned: number): PrefixMatch {
    return { blocks, owned, fresh: blocks * this.#fullGroups.length - owned }
  }

  /** The longest part of a match that the windows can continue from as well. */
  #matchWindows(sequence: Sequence, full: PrefixMatch): PrefixMatch {
    let end = full.blocks
    for (let gap = this.#gapBefore(sequence, end); gap >= 0; gap = this.#gapBefore(sequence, end)) {
      end = gap
    }
    const match = end < full.blocks ? this.#matchFull(sequence, end) : full
    let fresh = 0
    this.#eachInWindows(sequence, end, (block) => {
      if (this.#pool.owners(block) === 0) fresh++
    })
    return { ...match, fresh: match.fresh + fresh }
  }

  /** The last block before `end` that a window wants and the cache lacks; −1 if none. No hit ends behind it. */
  #gapBefore(sequence: Sequence, end: number): number {
    let gap = -1
    this.#eachInWindows(sequence, end, (block, index) => {
      if (block === NULL_BLOCK) gap = Math.max(gap, index)
    })
    return gap
  }

  #eachInWindows(
    sequence: Sequence,
    end: number,
    visit: (block: number, index: number) => void,
  ): void {
    const { windows, blockSize } = this.#layout
    for (const { group, window } of windows) {
      for (let i = this.#layout.firstBlock(window, end * blockSize); i < end; i++) {
        visit(this.find(sequence, i, group), i)
      }
    }
  }

  /** The physical block with the content of a sequence's block `index`, which `match` has hashed. */
  find(sequence: Sequence, index: number, group: number): number {
    this.#setKey(sequence, index, group)
    return this.#pool.find(this.#key, 0)
  }

  /** Offers the full blocks that a sequence has computed since the last time. */
  publish(sequence: Sequence): void {
    const { blockSize, tokenGroups, states } = this.#layout
    if (states.length > 0) return
    const full = Math.floor(sequence.computed / blockSize)
    if (full <= sequence.published) return
    this.#hashUpTo(sequence, full)
    for (let index = sequence.published; index < full; index++) {
      for (const group of tokenGroups) {
        const block = sequence.blockTables[group]![index]!
        if (block === NULL_BLOCK) continue
        this.#setKey(sequence, index, group)
        this.#pool.cache(block, this.#key, 0)
      }
    }
    sequence.published = full
  }

  #hashUpTo(sequence: Sequence, blocks: number): void {
    if (sequence.hashed >= blocks) return
    this.#reserve(sequence, blocks)
    const { tokens, hashes } = sequence
    const { blockKey, embeds } = sequence.group
    const size = this.#layout.blockSize
    for (let i = sequence.hashed; i < blocks; i++) {
      let parents = i === 0 ? rootHash(blockKey) : hashes
      let parentAt = i === 0 ? 0 : (i - 1) * HASH_WORDS
      const at = i * HASH_WORDS
      if (embeds && i * size < embeds.rows) {
        const { rows, columns, data } = embeds
        const bits = new Int32Array(data.buffer, data.byteOffset, data.length)
        const end = Math.min((i + 1) * size, rows) * columns
        hashBlock(bits, i * size * columns, end, parents, parentAt, hashes, at)
        parents = hashes
        parentAt = at
      }
      hashBlock(tokens, i * size, (i + 1) * size, parents, parentAt, hashes, at)
    }
    sequence.hashed = blocks
  }

  #reserve(sequence: Sequence, blocks: number): void {
    if (sequence.hashes.length >= blocks * HASH_WORDS) return
    const known = Math.ceil(sequence.length / this.#layout.blockSize)
    const grown = new Int32Array(Math.max(blocks, known, 2 * sequence.hashed) * HASH_WORDS)
    grown.set(sequence.hashes)
    sequence.hashes = grown
  }

  #setKey(sequence: Sequence, index: number, group: number): void {
    const at = index * HASH_WORDS
    for (let i = 0; i < HASH_WORDS; i++) this.#key[i] = sequence.hashes[at + i]!
    this.#key[0]! ^= Math.imul(group, GROUP_KEY)
  }
}
