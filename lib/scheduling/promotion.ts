import type { GroupQueue } from './group-queue.js'
import type { PolicyFeedback } from './policy.js'

/** Share of the running sequences that may be there because they were promoted. */
const PROMOTED_SHARE = 1 / 4

/**
 * Moves groups forward that have drawn nothing for long. All of them together get a bounded share of what
 * is served: otherwise a long queue, promoted as a whole, would be served in the order of arrival, and
 * short requests no sooner than under fcfs.
 */
export class Promotion {
  readonly #queue: GroupQueue
  readonly #feedback: PolicyFeedback
  /** Groups that may be promoted now; a part of one remains for later. */
  #allowed = 0

  constructor(queue: GroupQueue, feedback: PolicyFeedback) {
    this.#queue = queue
    this.#feedback = feedback
  }

  /** Before step number `step`, while so many sequences run. */
  promote(step: number, running: number): void {
    const { patience, quantum } = this.#feedback
    const places = PROMOTED_SHARE * running
    this.#allowed = Math.min(this.#allowed + places / quantum, Math.max(1, places))
    while (this.#allowed >= 1) {
      const group = this.#queue.longestIdle
      if (group === undefined || group.idleSince > step - patience) return
      this.#queue.remove(group)
      if (this.#feedback.promote(group)) this.#allowed--
      group.idleSince = step
      this.#queue.add(group)
    }
  }
}
