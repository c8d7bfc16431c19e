import type { ScheduledStep } from '../../../lib/scheduling/scheduled-step.js'
import type { Scheduler } from '../../../lib/scheduling/scheduler.js'

/** Adds up, step by step, the blocks in use and those that would be without sharing. */
export class SharingRecord {
  #used = 0
  #wanted = 0

  readonly observe = ({ sequences }: ScheduledStep, { blocks }: Scheduler): void => {
    this.#used += blocks.pool.used
    for (const { sequence, start, count } of sequences) {
      const { group } = sequence
      const owners = group.forked ? 1 : group.live
      this.#wanted += owners * blocks.blocksFor(start + count)
    }
  }

  /** Blocks saved by sharing, in % of those needed without. */
  get saving(): number {
    return 100 * (1 - this.#used / this.#wanted)
  }
}
