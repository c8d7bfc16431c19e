import type { SchedulingPolicy } from './policy.js'
import type { SequenceGroup } from './sequence.js'

/** The groups that are computed, in the policy's order. */
export class RunningGroups {
  /** Sequences of the groups that are not finished. */
  sequences = 0
  readonly #policy: SchedulingPolicy
  readonly #groups: SequenceGroup[] = []

  constructor(policy: SchedulingPolicy) {
    this.#policy = policy
  }

  get size(): number {
    return this.#groups.length
  }

  /** The last group, or the one so many places before it. */
  fromEnd(places = 0): SequenceGroup | undefined {
    return this.#groups[this.#groups.length - 1 - places]
  }

  has(group: SequenceGroup): boolean {
    return this.#groups.includes(group)
  }

  /** In order, without those that are taken away meanwhile. */
  [Symbol.iterator](): Iterator<SequenceGroup> {
    return this.#groups[Symbol.iterator]()
  }

  add(group: SequenceGroup): void {
    this.sequences += group.live
    let at = this.#groups.length
    while (at > 0 && this.#policy.compare(group, this.#groups[at - 1]!) < 0) at--
    this.#groups.splice(at, 0, group)
  }

  /** Takes a group away that is there. */
  remove(group: SequenceGroup): void {
    this.#groups.splice(this.#groups.lastIndexOf(group), 1)
    this.sequences -= group.live
  }

  /** Takes the groups away that are finished. */
  dropFinished(): void {
    let kept = 0
    for (const group of this.#groups) if (!group.finished) this.#groups[kept++] = group
    this.#groups.length = kept
  }

  /** Restores the order after groups have changed their places: little work where few have. */
  sort(): void {
    this.#groups.sort((a, b) => this.#policy.compare(a, b))
  }
}
