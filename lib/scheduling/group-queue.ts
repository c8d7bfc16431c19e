import { Heap } from './heap.js'
import type { SchedulingPolicy } from './policy.js'
import type { SequenceGroup } from './sequence.js'

/**
 * Groups that wait, new ones and preempted ones, in the policy's order. Each group knows its places in
 * the heaps here (`queueIndex`, `idleIndex`), so that removing any of them takes logarithmic time. What
 * they are ordered by must not change while they are here.
 */
export class GroupQueue {
  readonly #policy: SchedulingPolicy
  readonly #heap: Heap<SequenceGroup>
  readonly #byIdleness = new Heap<SequenceGroup>(
    (a, b) => a.idleSince - b.idleSince || a.arrival - b.arrival,
    (group, place) => (group.idleIndex = place),
  )
  #swapped = 0

  constructor(policy: SchedulingPolicy) {
    this.#policy = policy
    this.#heap = new Heap<SequenceGroup>(
      (a, b) => policy.compare(a, b),
      (group, place) => (group.queueIndex = place),
    )
  }

  get size(): number {
    return this.#heap.size
  }

  /** Groups whose blocks are on the host. */
  get swapped(): number {
    return this.#swapped
  }

  /** The first group, or undefined. */
  get first(): SequenceGroup | undefined {
    return this.#heap.at(0)
  }

  /** The group that has drawn nothing for longest, or undefined. */
  get longestIdle(): SequenceGroup | undefined {
    return this.#byIdleness.at(0)
  }

  /** The groups in order; what is not asked for is not sorted. */
  *inOrder(): Generator<SequenceGroup, void, undefined> {
    const next = this.first === undefined ? [] : [this.first]
    while (next.length > 0) {
      const first = next.reduce((a, b) => (this.#policy.compare(a, b) < 0 ? a : b))
      yield first
      const left = 2 * first.queueIndex + 1
      const children = [this.#heap.at(left), this.#heap.at(left + 1)]
      next.splice(next.indexOf(first), 1, ...children.filter((child) => child !== undefined))
    }
  }

  has(group: SequenceGroup): boolean {
    return this.#heap.at(group.queueIndex) === group
  }

  add(group: SequenceGroup): void {
    if (group.state === 'swapped') this.#swapped++
    this.#heap.add(group)
    this.#byIdleness.add(group)
  }

  /** The group must be in this queue, in the state in which it was added. */
  remove(group: SequenceGroup): void {
    if (group.state === 'swapped') this.#swapped--
    this.#heap.removeAt(group.queueIndex)
    group.queueIndex = -1
    this.#byIdleness.removeAt(group.idleIndex)
  }
}
