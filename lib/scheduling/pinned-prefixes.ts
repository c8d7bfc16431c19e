import type { BlockManager } from './block-manager.js'
import { NULL_BLOCK } from './block-pool.js'
import { blocksOfGroup } from './group-memory.js'
import type { Sequence, SequenceGroup } from './sequence.js'

/**
 * Beginnings of prompts that stay in the cache until they are released, however full the pool is:
 * each is a sequence that owns blocks and never runs. Requests that begin alike share its blocks;
 * for all others the pool is smaller by them.
 */
export class PinnedPrefixes {
  /** Physical blocks that are pinned, each counted once. */
  blocks = 0
  readonly #manager: BlockManager
  readonly #pinned = new Set<Sequence>()

  constructor(manager: BlockManager) {
    this.#manager = manager
  }

  has(sequence: Sequence): boolean {
    return this.#pinned.has(sequence)
  }

  get size(): number {
    return this.#pinned.size
  }

  /**
   * Pins the full blocks that the prefix cache holds of a prompt; gives their tokens. null, and
   * nothing is pinned, when one of the `others`, which wait or run, could then never go on.
   */
  pin({ sequences, promptLength }: SequenceGroup, others: Iterable<SequenceGroup>): number | null {
    const sequence = sequences[0]!
    const { blocks } = this.#manager.match(sequence, promptLength)
    const tokens = blocks * this.#manager.blockSize
    if (tokens === 0) return 0
    this.#manager.allocate(sequence, tokens, blocks)
    this.#pinned.add(sequence)
    this.#count()
    for (const other of others) {
      if (this.leaveRoomFor(other, leastBlocks(this.#manager, other))) continue
      this.release(sequence)
      return null
    }
    return tokens
  }

  /** Gives a prefix back to the cache, from which it can be evicted. Harmless a second time. */
  release(sequence: Sequence): void {
    if (!this.#pinned.delete(sequence)) return
    this.#manager.free(sequence)
    this.#count()
  }

  /** Whether a group of `needed` blocks, alone beside the pinned ones, fits the pool. */
  leaveRoomFor(group: SequenceGroup, needed: number): boolean {
    const left = this.#manager.pool.capacity - this.blocks
    return needed <= left || needed - this.#sharedWith(group) <= left
  }

  /** Makes the prefixes findable again after the prefix cache was reset. */
  publish(): void {
    for (const sequence of this.#pinned) {
      sequence.published = 0
      this.#manager.publish(sequence)
    }
  }

  /** Pinned blocks that a group finds in the cache when it starts. */
  #sharedWith(group: SequenceGroup): number {
    if (group.scored < group.promptLength - 1) return 0
    const { blockSize, fullGroups, windows } = this.#manager.layout
    let longest = 0
    for (const pinned of this.#pinned) {
      if (pinned.group.blockKey !== group.blockKey) continue
      const common = commonLength(pinned, group.leader)
      // Of a window only what stands before the prefix's end is pinned: there is no other hit.
      if (windows.length === 0 || common === pinned.slots) longest = Math.max(longest, common)
    }
    return Math.floor(longest / blockSize) * fullGroups
  }

  #count(): void {
    const all = new Set<number>()
    for (const { blockTables, blockCounts } of this.#pinned) {
      for (const [group, table] of blockTables.entries()) {
        for (const block of table.subarray(0, blockCounts[group])) all.add(block)
      }
    }
    all.delete(NULL_BLOCK)
    this.blocks = all.size
  }
}

/** Blocks without which a group cannot go on: of a new one those of its prompt and a first token. */
export function leastBlocks(blocks: BlockManager, group: SequenceGroup): number {
  const { promptLength, pace, live, params, preemptions, state } = group
  if (state === 'running' || preemptions > 0) return blocksOfGroup(blocks, promptLength, pace, live)
  return blocksOfGroup(blocks, promptLength, promptLength + (params.maxTokens === 1 ? 0 : 1), 1)
}

/**
 * Tokens with which both begin, of those that `other` looks up when it starts anew: all but the last,
 * and not what it has drawn while its group has other sequences.
 */
function commonLength(pinned: Sequence, other: Sequence): number {
  const { live, promptLength, embeds } = other.group
  if (embeds !== pinned.group.embeds) return 0
  const most = Math.min(pinned.slots, (live === 1 ? other.length : promptLength) - 1)
  let length = 0
  while (length < most && pinned.tokens[length] === other.tokens[length]) length++
  return length
}
