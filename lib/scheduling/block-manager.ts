import { HASH_WORDS } from './block-hash.js'
import { BlockPool, NULL_BLOCK } from './block-pool.js'
import { CacheLayout, type CacheGroupKind } from './cache-layout.js'
import { checkBlocks } from './check-blocks.js'
import { noMatch, PrefixCache, type PrefixMatch } from './prefix-cache.js'
import type { BlockCopy } from './scheduled-step.js'
import { DEVICE_TIER, HOST_TIER, type Sequence, type SequenceGroup, type Tier } from './sequence.js'

export interface BlockManagerOptions {
  /** Tokens of a block. */
  readonly blockSize: number
  /** Physical blocks, the null block included. */
  readonly numBlocks: number
  /** Blocks of the host tier, its null block included. Default 0: there is none. */
  readonly hostBlocks?: number
  /** Groups of cache layers: a sequence has a table for each. Default: one that keeps every token. */
  readonly cacheGroups?: readonly CacheGroupKind[]
  /** Whether prompts may be computed in parts, so that windows give blocks back on the way. Default true. */
  readonly enableChunkedPrefill?: boolean
  /** Default true. */
  readonly enablePrefixCaching?: boolean
}

/**
 * Gives sequences their blocks. A sequence's tables cover its first `slots` tokens with no block to
 * spare, so it wastes less than one block a group. Blocks are shared by forks and by equal
 * beginnings; whoever writes to a shared block first gets a copy, and the last sharer writes in place.
 *
 * The blocks of a group are all on the device or, swapped out, all on the host. Every copy is listed
 * when it is decided and done in that order, before the step writes anything: so a block that was
 * swapped out is read before whoever got it next overwrites it, in the same step even.
 */
export class BlockManager {
  readonly blockSize: number
  readonly layout: CacheLayout
  /** Blocks of the device. */
  readonly pool: BlockPool
  /** Blocks of the host. */
  readonly host: BlockPool
  /** Copies on write since the start. */
  copied = 0
  readonly #pools: Readonly<Record<Tier, BlockPool>>
  readonly #allGroups: readonly number[]
  readonly #prefixes: PrefixCache | null
  readonly #holders = new Set<Sequence>()
  #copies: BlockCopy[] = []

  constructor(options: BlockManagerOptions) {
    this.blockSize = options.blockSize
    const wholePrompts = options.enableChunkedPrefill === false
    this.layout = new CacheLayout(options.blockSize, options.cacheGroups, wholePrompts)
    this.pool = new BlockPool(options.numBlocks)
    this.host = new BlockPool(Math.max(1, options.hostBlocks ?? 0))
    this.#allGroups = Array.from({ length: this.layout.groups }, (_, group) => group)
    this.#pools = { [DEVICE_TIER]: this.pool, [HOST_TIER]: this.host }
    this.#prefixes =
      (options.enablePrefixCaching ?? true) ? new PrefixCache(this.pool, this.layout) : null
  }

  /** Sequences that own blocks, on the device or on the host. */
  get holders(): ReadonlySet<Sequence> {
    return this.#holders
  }

  /** Copies to do before the next writes, in order. */
  get pendingCopies(): number {
    return this.#copies.length
  }

  /** Blocks that hold this many tokens in one group that keeps all of them. */
  blocksFor(tokens: number): number {
    return this.layout.blocksFor(tokens)
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
    for (const { group, window } of this.layout.windows) {
      const start = this.layout.firstBlock(window, cachedBlocks * this.blockSize)
      for (let index = 0; index < start; index++) this.#push(sequence, group, NULL_BLOCK)
      sequence.windowStarts[group] = start
    }
    for (const group of this.layout.tokenGroups) {
      for (let index = sequence.windowStarts[group] ?? 0; index < cachedBlocks; index++) {
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
    const { tokenGroups, states } = this.layout
    const written = this.#groupsWrittenAt(slots)
    const more = this.blocksFor(length) - this.blocksFor(slots)
    const fresh = more * tokenGroups.length + (slots === 0 ? states.length : 0)
    if (fresh + this.#sharedTails(sequence, written) > this.pool.available) return false
    if (slots === 0) {
      this.#holders.add(sequence)
      for (const group of states) this.#push(sequence, group, this.pool.take())
    }
    this.#ownTails(sequence, written)
    for (let i = 0; i < more; i++) {
      for (const group of tokenGroups) this.#push(sequence, group, this.pool.take())
    }
    sequence.slots = length
    return true
  }

  /** The tokens that `append` could make room for now. */
  room(sequence: Sequence): number {
    const { slots } = sequence
    const blocks = this.pool.available - this.#sharedTails(sequence, this.#groupsWrittenAt(slots))
    return this.#roomIn(blocks, slots)
  }

  /** The tokens behind those of a match that `allocate` could make room for now. */
  roomBehind(match: PrefixMatch): number {
    return this.#roomIn(this.pool.available - match.fresh, match.blocks * this.blockSize)
  }

  /**
   * Lets `child`, which owns nothing, share the blocks of its parent's first `length` tokens. It gets
   * none where the parent does not keep what a window or a state held there.
   */
  fork(parent: Sequence, child: Sequence, length = parent.slots): void {
    if (length > parent.slots || child.slots > 0)
      throw new RangeError(
        `fork: expected a child without blocks and at most ${parent.slots} tokens of the parent, ` +
          `found ${child.slots} and ${length}`,
      )
    if (!this.#continuesFrom(parent, length)) return
    const blocks = this.blocksFor(length)
    for (let group = 0; group < this.layout.groups; group++) {
      const table = parent.blockTables[group]!
      const count = Math.min(blocks, parent.blockCounts[group]!)
      for (let i = 0; i < count; i++) {
        if (table[i] !== NULL_BLOCK) this.pool.share(table[i]!)
        this.#push(child, group, table[i]!)
      }
      child.windowStarts[group] = parent.windowStarts[group] ?? 0
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
    sequence.tier = DEVICE_TIER
  }

  /**
   * Takes away the blocks behind a sequence's first `length` tokens, which may be drawn anew: all its
   * blocks where it does not keep what a window or a state held there.
   */
  truncate(sequence: Sequence, length: number): void {
    if (length > sequence.slots)
      throw new RangeError(
        `truncate: expected at most the ${sequence.slots} tokens with blocks, found ${length}`,
      )
    const full = Math.floor(length / this.blockSize)
    sequence.hashed = Math.min(sequence.hashed, full)
    if (length === 0 || !this.#continuesFrom(sequence, length)) {
      this.free(sequence)
      return
    }
    this.#shrink(sequence, this.blocksFor(length))
    sequence.slots = length
    sequence.computed = Math.min(sequence.computed, length)
    sequence.published = Math.min(sequence.published, full)
  }

  /** Blocks that a group owns, each counted once however many of its sequences share it. */
  ownedBy(group: SequenceGroup): number {
    const owned = new Set<number>()
    for (const sequence of group.sequences) {
      for (let i = 0; i < sequence.blockTables.length; i++) {
        for (const block of this.#blocks(sequence, i)) owned.add(block)
      }
    }
    owned.delete(NULL_BLOCK)
    return owned.size
  }

  /**
   * Moves what is computed of a group to the host; blocks that its sequences share are copied once and
   * stay shared. False, and every computed token is where it was, when the host lacks blocks.
   */
  swapOut(group: SequenceGroup): boolean {
    for (const sequence of group.sequences) {
      if (sequence.slots > sequence.computed) this.truncate(sequence, sequence.computed)
    }
    if (this.ownedBy(group) > this.host.available) return false
    this.#move(group, HOST_TIER, new Map())
    return true
  }

  /**
   * Moves a group that was swapped out back to the device, as it was; full blocks that the device
   * still caches are found again there. False, and nothing has changed, when the device lacks blocks.
   */
  swapIn(group: SequenceGroup): boolean {
    const found = this.#survivors(group)
    const fits = this.ownedBy(group) - found.size <= this.pool.available
    if (fits) this.#move(group, DEVICE_TIER, new Map(found))
    for (const block of found.values()) this.pool.release(block)
    return fits
  }

  /**
   * To be called when more of a sequence is computed: offers the blocks that it has filled to others
   * with the same beginning, and gives back those that lie behind windows now.
   */
  publish(sequence: Sequence): void {
    this.#prefixes?.publish(sequence)
    this.#leaveBehindWindows(sequence)
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

  /** Drops the copies on write gathered since there were `count` copies: their targets have been freed. */
  dropCopies(count: number): void {
    const kept = this.#copies.filter((copy, i) => i < count || copy.toTier !== copy.fromTier)
    this.copied -= this.#copies.length - kept.length
    this.#copies = kept
  }

  /** Throws an Error naming the first block or sequence that breaks a rule (check-blocks.ts). */
  checkIntegrity(): void {
    checkBlocks(this)
  }

  #blocks(sequence: Sequence, group: number): Int32Array {
    return sequence.blockTables[group]!.subarray(0, sequence.blockCounts[group])
  }

  #tailOf(sequence: Sequence, group: number): number {
    return sequence.blockTables[group]![sequence.blockCounts[group]! - 1]!
  }

  /** The groups in which the token at `slots` goes to a block that there is already. */
  #groupsWrittenAt(slots: number): readonly number[] {
    if (slots === 0) return []
    return slots % this.blockSize === 0 ? this.layout.states : this.#allGroups
  }

  #sharedTails(sequence: Sequence, groups: readonly number[]): number {
    let shared = 0
    for (const group of groups) {
      if (this.pool.owners(this.#tailOf(sequence, group)) > 1) shared++
    }
    return shared
  }

  #ownTails(sequence: Sequence, groups: readonly number[]): void {
    for (const group of groups) {
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

  /** Gives back the blocks that no token from the first uncomputed one on reads. */
  #leaveBehindWindows(sequence: Sequence): void {
    for (const { group, window } of this.layout.windows) {
      const table = sequence.blockTables[group]
      if (table === undefined) continue
      const first = this.layout.firstBlock(window, sequence.computed)
      for (let i = sequence.windowStarts[group] ?? 0; i < first; i++) {
        this.pool.release(table[i]!)
        table[i] = NULL_BLOCK
        sequence.windowStarts[group] = i + 1
      }
    }
  }

  /** Whether a sequence keeps all that the token behind its first `length` ones reads. */
  #continuesFrom(sequence: Sequence, length: number): boolean {
    const { states, windows } = this.layout
    if (states.length > 0 && length < sequence.computed) return false
    return windows.every(
      ({ group, window }) =>
        (sequence.windowStarts[group] ?? 0) <= this.layout.firstBlock(window, length),
    )
  }

  /** Tokens behind the first `slots` that so many more blocks make room for. */
  #roomIn(blocks: number, slots: number): number {
    const { tokenGroups, states } = this.layout
    const left = blocks - (slots === 0 ? states.length : 0)
    if (left < 0) return 0
    if (tokenGroups.length === 0) return Number.MAX_SAFE_INTEGER
    const covered = this.blocksFor(slots) + Math.floor(left / tokenGroups.length)
    return covered * this.blockSize - slots
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
    const pool = this.#pools[sequence.tier]
    for (let group = 0; group < sequence.blockTables.length; group++) {
      const table = sequence.blockTables[group]!
      const kept = blocks > 0 && this.layout.states.includes(group) ? 1 : blocks
      for (let i = sequence.blockCounts[group]! - 1; i >= kept; i--) {
        if (table[i] !== NULL_BLOCK) pool.release(table[i]!)
      }
      sequence.blockCounts[group] = kept
      if (kept === 0) sequence.windowStarts[group] = 0
    }
  }

  /** Moves all blocks of a group to another tier, those in `moved` to where they are already. */
  #move(group: SequenceGroup, toTier: Tier, moved: Map<number, number>): void {
    for (const sequence of group.sequences) {
      if (!this.#holders.has(sequence)) continue
      for (const group of this.#allGroups) this.#moveTable(sequence, group, toTier, moved)
      sequence.tier = toTier
      sequence.published = 0
    }
  }

  /** The last blocks first, as in #shrink. */
  #moveTable(sequence: Sequence, group: number, toTier: Tier, moved: Map<number, number>): void {
    const fromTier = sequence.tier
    const table = this.#blocks(sequence, group)
    for (let i = table.length - 1; i >= 0; i--) {
      const from = table[i]!
      if (from === NULL_BLOCK) continue
      let to = moved.get(from)
      if (to === undefined) {
        to = this.#pools[toTier].take()
        moved.set(from, to)
        this.#copies.push({ group, fromTier, from, toTier, to })
      } else {
        this.#pools[toTier].share(to)
      }
      table[i] = to
      this.#pools[fromTier].release(from)
    }
  }

  /** Device blocks with the content of a swapped group's, by host block; each is given one more owner. */
  #survivors(group: SequenceGroup): ReadonlyMap<number, number> {
    const found = new Map<number, number>()
    for (const sequence of group.sequences) {
      const full = Math.min(sequence.hashed, Math.floor(sequence.slots / this.blockSize))
      for (let index = 0; index < full; index++) {
        for (const i of this.layout.tokenGroups) {
          const from = sequence.blockTables[i]![index]!
          if (from === NULL_BLOCK || found.has(from)) continue
          const block = this.#prefixes!.find(sequence, index, i)
          if (block === NULL_BLOCK) continue
          this.pool.share(block)
          found.set(from, block)
        }
      }
    }
    return found
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
