import { HASH_WORDS } from './block-hash.js'
import { BlockPool, NULL_BLOCK } from './block-pool.js'
import { noMatch, PrefixCache, type PrefixMatch } from './prefix-cache.js'
import type { BlockCopy } from './scheduled-step.js'
import type { Sequence } from './sequence.js'

const DEVICE_TIER = 0

export interface BlockManagerOptions {
  /** Tokens of a block. */
  readonly blockSize: number
  /** Physical blocks, the null block included. */
  readonly numBlocks: number
  /** Tables of a sequence; all draw from the one pool. Default 1. */
  readonly cacheGroups?: number
  /** Default true. */
  readonly enablePrefixCaching?: boolean
}

/**
 * Gives sequences their blocks. A sequence's tables cover its first `slots` tokens with no block to
 * spare, so it wastes less than one block a group. Blocks are shared by forks and by equal
 * beginnings; whoever writes to a shared block first gets a copy, and the last sharer writes in place.
 */
export class BlockManager {
  readonly blockSize: number
  readonly groups: number
  readonly pool: BlockPool
  /** Copies on write since the start. */
  copied = 0
  readonly #prefixes: PrefixCache | null
  readonly #holders = new Set<Sequence>()
  #copies: BlockCopy[] = []

  constructor(options: BlockManagerOptions) {
    this.blockSize = options.blockSize
    this.groups = options.cacheGroups ?? 1
    this.pool = new BlockPool(options.numBlocks)
    this.#prefixes =
      (options.enablePrefixCaching ?? true)
        ? new PrefixCache(this.pool, this.blockSize, this.groups)
        : null
  }

  /** Sequences that own blocks. */
  get holders(): ReadonlySet<Sequence> {
    return this.#holders
  }

  /** Copies to do before the next writes, in order. */
  get pendingCopies(): number {
    return this.#copies.length
  }

  /** Blocks of one group that hold this many tokens. */
  blocksFor(tokens: number): number {
    return Math.ceil(tokens / this.blockSize)
  }

  /** What the prefix cache holds of the sequence's first `tokens` tokens. */
  match(sequence: Sequence, tokens: number): PrefixMatch {
    return this.#prefixes?.match(sequence, Math.floor(tokens / this.blockSize)) ?? noMatch
  }

  /**
   * Gives a sequence without blocks room for its first `length` tokens, the first `cachedBlocks`
   * blocks from a match just made. False, and nothing has changed, when the pool lacks blocks.
   */
  allocate(sequence: Sequence, length: number, cachedBlocks = 0): boolean {
    this.#holders.add(sequence)
    for (let index = 0; index < cachedBlocks; index++) {
      for (let group = 0; group < this.groups; group++) {
        const block = this.#prefixes!.find(sequence, index, group)
        this.pool.share(block)
        this.#push(sequence, group, block)
      }
    }
    sequence.slots = sequence.computed = cachedBlocks * this.blockSize
    sequence.published = cachedBlocks
    if (this.append(sequence, length)) return true
    this.free(sequence)
    return false
  }

  /**
   * Makes room for the tokens `slots … length − 1`, in blocks that nobody shares. False, and nothing
   * has changed, when the pool lacks blocks.
   */
  append(sequence: Sequence, length: number): boolean {
    const { slots } = sequence
    const inTail = slots % this.blockSize !== 0
    const more = this.blocksFor(length) - this.blocksFor(slots)
    const copies = inTail ? this.#sharedTails(sequence) : 0
    if (more * this.groups + copies > this.pool.available) return false
    if (slots === 0) this.#holders.add(sequence)
    if (inTail) this.#ownTails(sequence)
    for (let i = 0; i < more; i++) {
      for (let group = 0; group < this.groups; group++) {
        this.#push(sequence, group, this.pool.take())
      }
    }
    sequence.slots = length
    return true
  }

  /** The tokens that `append` could make room for now. */
  room(sequence: Sequence): number {
    const { slots } = sequence
    const copies = slots % this.blockSize === 0 ? 0 : this.#sharedTails(sequence)
    const blocks = this.pool.available - copies
    if (blocks < 0) return 0
    const covered = this.blocksFor(slots) + Math.floor(blocks / this.groups)
    return covered * this.blockSize - slots
  }

  /** Lets `child`, which owns nothing, share the blocks of its parent's first `length` tokens. */
  fork(parent: Sequence, child: Sequence, length = parent.slots): void {
    if (length > parent.slots || child.slots > 0)
      throw new RangeError(
        `fork: expected a child without blocks and at most ${parent.slots} tokens of the parent, ` +
          `found ${child.slots} and ${length}`,
      )
    const blocks = this.blocksFor(length)
    for (let group = 0; group < this.groups; group++) {
      const table = parent.blockTables[group]!
      for (let i = 0; i < blocks; i++) {
        this.pool.share(table[i]!)
        this.#push(child, group, table[i]!)
      }
    }
    if (length > 0) this.#holders.add(child)
    child.slots = length
    child.computed = Math.min(parent.computed, length)
    this.#inheritHashes(parent, child)
  }

  /** Takes every block away from a sequence; the cache holds none of its tokens any more. */
  free(sequence: Sequence): void {
    this.#shrink(sequence, 0)
    this.#holders.delete(sequence)
    sequence.slots = sequence.computed = sequence.published = 0
  }

  /** Takes away the blocks behind a sequence's first `length` tokens, which may be drawn anew. */
  truncate(sequence: Sequence, length: number): void {
    if (length > sequence.slots)
      throw new RangeError(
        `truncate: expected at most the ${sequence.slots} tokens with blocks, found ${length}`,
      )
    if (length === 0) {
      this.free(sequence)
      return
    }
    this.#shrink(sequence, this.blocksFor(length))
    const full = Math.floor(length / this.blockSize)
    sequence.slots = length
    sequence.computed = Math.min(sequence.computed, length)
    sequence.published = Math.min(sequence.published, full)
    sequence.hashed = Math.min(sequence.hashed, full)
  }

  /** Offers the blocks that a sequence has filled to others with the same beginning. */
  publish(sequence: Sequence): void {
    this.#prefixes?.publish(sequence)
  }

  /** Forgets every cached block. */
  resetPrefixCache(): void {
    this.pool.uncacheAll()
  }

  /** The copies gathered since the last call: one batch, to be done before the next writes. */
  takeCopies(): readonly BlockCopy[] {
    const copies = this.#copies
    this.#copies = []
    return copies
  }

  /** Drops gathered copies from `count` on, whose targets have been freed. */
  dropCopies(count: number): void {
    this.copied -= this.#copies.length - count
    this.#copies.length = count
  }

  /**
   * Throws an Error naming the first block or sequence that breaks a rule: each block's count equals
   * its owners; used + free + cached = all; tables cover exactly the slots; nothing shared or
   * findable is about to be written.
   */
  checkIntegrity(): void {
    this.pool.checkIntegrity()
    const owners = new Int32Array(this.pool.numBlocks)
    for (const sequence of this.#holders) {
      this.#checkSequence(sequence)
      for (let group = 0; group < this.groups; group++) {
        for (const block of this.#blocks(sequence, group)) owners[block]!++
      }
    }
    for (let block = 0; block < owners.length; block++) {
      if (owners[block] !== this.pool.owners(block))
        throw new Error(
          `block ${block} counts ${this.pool.owners(block)} owners but has ${owners[block]!}`,
        )
    }
  }

  #checkSequence(sequence: Sequence): void {
    const { computed, slots, length } = sequence
    const name = `sequence ${sequence.index} of request ${sequence.group.requestId}`
    if (slots === 0 || computed > slots || slots > length)
      throw new Error(`${name}: computed ${computed}, slots ${slots}, length ${length}`)
    for (let group = 0; group < this.groups; group++) {
      const blocks = this.#blocks(sequence, group)
      if (blocks.length !== this.blocksFor(slots))
        throw new Error(`${name} has ${blocks.length} blocks for ${slots} slots`)
      if (blocks.includes(NULL_BLOCK)) throw new Error(`${name} owns the null block`)
      if (computed === slots) continue
      for (const block of blocks.subarray(Math.floor(computed / this.blockSize))) {
        if (this.pool.owners(block) > 1)
          throw new Error(`${name} is about to write to block ${block}, which is shared`)
        if (this.pool.isCached(block))
          throw new Error(`${name} is about to write to block ${block}, which can be found`)
      }
    }
  }

  #blocks(sequence: Sequence, group: number): Int32Array {
    return sequence.blockTables[group]!.subarray(0, sequence.blockCounts[group])
  }

  #tailOf(sequence: Sequence, group: number): number {
    return sequence.blockTables[group]![sequence.blockCounts[group]! - 1]!
  }

  #sharedTails(sequence: Sequence): number {
    let shared = 0
    for (let group = 0; group < this.groups; group++) {
      if (this.pool.owners(this.#tailOf(sequence, group)) > 1) shared++
    }
    return shared
  }

  #ownTails(sequence: Sequence): void {
    for (let group = 0; group < this.groups; group++) {
      const from = this.#tailOf(sequence, group)
      if (this.pool.owners(from) === 1) {
        this.pool.uncache(from)
        continue
      }
      const to = this.pool.take()
      this.pool.release(from)
      sequence.blockTables[group]![sequence.blockCounts[group]! - 1] = to
      this.#copies.push({ group, fromTier: DEVICE_TIER, from, toTier: DEVICE_TIER, to })
      this.copied++
    }
  }

  #push(sequence: Sequence, group: number, block: number): void {
    const count = sequence.blockCounts[group] ?? 0
    let table = sequence.blockTables[group]
    if (table === undefined || count === table.length) {
      const grown = new Int32Array(Math.max(this.blocksFor(sequence.length) + 1, 2 * count))
      if (table !== undefined) grown.set(table)
      sequence.blockTables[group] = table = grown
    }
    table[count] = block
    sequence.blockCounts[group] = count + 1
  }

  /** Releases the last blocks first, so that the end of a cached prefix is evicted before its beginning. */
  #shrink(sequence: Sequence, blocks: number): void {
    for (let group = 0; group < sequence.blockTables.length; group++) {
      const table = sequence.blockTables[group]!
      for (let i = sequence.blockCounts[group]! - 1; i >= blocks; i--) this.pool.release(table[i]!)
      sequence.blockCounts[group] = blocks
    }
  }

  #inheritHashes(parent: Sequence, child: Sequence): void {
    const full = Math.floor(child.slots / this.blockSize)
    child.published = Math.min(parent.published, full)
    const hashed = Math.min(parent.hashed, full)
    if (child.hashed >= hashed) return
    child.hashes = parent.hashes.slice(0, hashed * HASH_WORDS)
    child.hashed = hashed
  }
}
