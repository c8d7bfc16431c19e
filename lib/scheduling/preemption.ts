import type { BlockManager } from './block-manager.js'
import type { SequenceGroup } from './sequence.js'
import { TokenCost } from './token-cost.js'

/** How a preempted group gets its cache back; auto: as is cheaper. */
export type PreemptionMode = 'auto' | 'recompute' | 'swap'

/**
 * Takes the device blocks of a whole group away, and brings them back: over the host, or by computing
 * them again. Where the host has no room, they are computed again.
 */
export class Preemption {
  /** Since the start: groups preempted, and of these swapped out, and swapped in again. */
  count = 0
  swapOuts = 0
  swapIns = 0
  /** What computing a token costs, learned from the steps. */
  readonly tokenCost = new TokenCost()
  readonly #blocks: BlockManager
  readonly #mode: PreemptionMode
  readonly #blockCopySeconds: number

  /** @param blockCopySeconds what copying one block to the other tier takes */
  constructor(blocks: BlockManager, mode: PreemptionMode, blockCopySeconds: number) {
    this.#blocks = blocks
    this.#mode = mode
    this.#blockCopySeconds = blockCopySeconds
  }

  /** Afterwards the group is 'swapped' or, to be computed again from its tokens, 'waiting'. */
  evict(group: SequenceGroup): void {
    this.count++
    group.preemptions++
    if (this.#prefersSwap(group) && this.#blocks.swapOut(group)) {
      this.swapOuts++
      group.state = 'swapped'
      return
    }
    this.restart(group)
    group.state = 'waiting'
  }

  /** Takes a group's blocks away, so that all its tokens are computed again. */
  restart(group: SequenceGroup): void {
    for (const sequence of group.sequences) this.#blocks.free(sequence)
    group.forked = group.live === 1
  }

  /** Gives a swapped group its blocks again. False, and nothing has changed, when the device lacks some. */
  restore(group: SequenceGroup): boolean {
    if (!this.#blocks.swapIn(group)) return false
    this.swapIns++
    return true
  }

  #prefersSwap(group: SequenceGroup): boolean {
    if (this.#blocks.host.capacity === 0) return false
    if (this.#mode !== 'auto') return this.#mode === 'swap'
    const copies = 2 * this.#blocks.ownedBy(group)
    return copies * this.#blockCopySeconds < computedTokens(group) * this.tokenCost.seconds
  }
}

/** Tokens that would have to be computed again: the sequences' own, and once those of their prompt. */
function computedTokens(group: SequenceGroup): number {
  let tokens = 0
  let shared = 0
  for (const { computed } of group.sequences) {
    const ofPrompt = Math.min(computed, group.promptLength)
    tokens += computed - ofPrompt
    shared = Math.max(shared, ofPrompt)
  }
  return tokens + shared
}
