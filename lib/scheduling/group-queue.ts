import type { SchedulingPolicy } from './policy.js'
import type { SequenceGroup } from './sequence.js'

/**
 * Groups that wait, new ones and preempted ones, the policy's first on top: a binary heap. Each group
 * knows its place (`queueIndex`), so that removing any of them takes logarithmic time. A group's place
 * in the order must not change while it is here.
 */
export class GroupQueue {
  readonly #policy: SchedulingPolicy
  readonly #heap: SequenceGroup[] = []
  readonly #byAge = new Set<SequenceGroup>()
  #swapped = 0

  constructor(policy: SchedulingPolicy) {
    this.#policy = policy
  }

  get size(): number {
    return this.#heap.length
  }

  /** Groups whose blocks are on the host. */
  get swapped(): number {
    return this.#swapped
  }

  /** The first group, or undefined. */
  get first(): SequenceGroup | undefined {
    return this.#heap[0]
  }

  /** The group that was added before all others, or undefined. */
  get oldest(): SequenceGroup | undefined {
    return this.#byAge.values().next().value
  }

  /** The groups in order; what is not asked for is not sorted. */
  *inOrder(): Generator<SequenceGroup, void, undefined> {
    const next = this.#heap.slice(0, 1)
    while (next.length > 0) {
      const first = next.reduce((a, b) => (this.#policy.compare(a, b) < 0 ? a : b))
      yield first
      const children = this.#heap.slice(2 * first.queueIndex + 1, 2 * first.queueIndex + 3)
      next.splice(next.indexOf(first), 1, ...children)
    }
  }

  has(group: SequenceGroup): boolean {
    return this.#heap[group.queueIndex] === group
  }

  /** `step`: the next one. */
  add(group: SequenceGroup, step: number): void {
    group.queuedAt = step
    this.#byAge.add(group)
    if (group.state === 'swapped') this.#swapped++
    this.#place(group, this.#heap.length)
    this.#rise(group)
  }

  /** The group must be in this queue, in the state in which it was added. */
  remove(group: SequenceGroup): void {
    this.#byAge.delete(group)
    if (group.state === 'swapped') this.#swapped--
    const last = this.#heap.pop()!
    if (last !== group) {
      this.#place(last, group.queueIndex)
      this.#rise(last)
      this.#sink(last)
    }
    group.queueIndex = -1
  }

  #rise(group: SequenceGroup): void {
    while (group.queueIndex > 0) {
      const at = group.queueIndex
      const parent = this.#heap[(at - 1) >> 1]!
      if (this.#policy.compare(parent, group) < 0) return
      this.#place(group, parent.queueIndex)
      this.#place(parent, at)
    }
  }

  #sink(group: SequenceGroup): void {
    for (;;) {
      const at = group.queueIndex
      const left = this.#heap[2 * at + 1]
      const right = this.#heap[2 * at + 2]
      if (left === undefined) return
      const child = right && this.#policy.compare(right, left) < 0 ? right : left
      if (this.#policy.compare(group, child) < 0) return
      this.#place(group, child.queueIndex)
      this.#place(child, at)
    }
  }

  #place(group: SequenceGroup, index: number): void {
    this.#heap[index] = group
    group.queueIndex = index
  }
}
