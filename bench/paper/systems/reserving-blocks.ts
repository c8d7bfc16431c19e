import { BlockManager, type BlockManagerOptions } from '../../../lib/scheduling/block-manager.js'
import type { Sequence, SequenceGroup } from '../../../lib/scheduling/sequence.js'
import { BuddyAllocator } from './buddy-allocator.js'

interface Reservation {
  /** Blocks of each chunk. */
  readonly size: number
  /** First blocks of the chunks that are still held. */
  readonly chunks: number[]
}

/**
 * A block manager that lets a request start only where each of its sequences gets one contiguous
 * chunk for all the tokens that it may ever have. What a chunk holds lies in ordinary blocks: what
 * is reserved always suffices for them, so who fits, and when, is as with contiguous memory.
 */
export class ReservingBlockManager extends BlockManager {
  readonly #buddies: BuddyAllocator
  readonly #tokensFor: (group: SequenceGroup) => number
  readonly #reservations = new Map<SequenceGroup, Reservation>()

  /** @param tokensFor tokens to reserve for each sequence of a group */
  constructor(options: BlockManagerOptions, tokensFor: (group: SequenceGroup) => number) {
    super(options)
    this.#buddies = new BuddyAllocator(this.pool.capacity)
    this.#tokensFor = tokensFor
  }

  override allocate(sequence: Sequence, length: number, cachedBlocks = 0): boolean {
    const { group } = sequence
    const size = BuddyAllocator.chunkFor(this.blocksFor(this.#tokensFor(group)))
    const chunks = this.#buddies.allocate(size, group.live)
    if (chunks === null) return false
    this.#reservations.set(group, { size, chunks })
    return super.allocate(sequence, length, cachedBlocks)
  }

  override free(sequence: Sequence): void {
    super.free(sequence)
    if (!sequence.finished) return
    const { group } = sequence
    const reservation = this.#reservations.get(group)
    if (reservation === undefined) return
    this.#buddies.release(reservation.chunks.pop()!, reservation.size)
    if (reservation.chunks.length === 0) this.#reservations.delete(group)
  }
}
