import type { SchedulingPolicy } from './policy.js'
import type { SequenceGroup } from './sequence.js'

/**
 * Groups that wait, the policy's first on top: a binary heap. Each group knows its place
 * (`queueIndex`), so that removing any of them takes logarithmic time.
 */
export class GroupQueue {
  readonly #policy: SchedulingPolicy
  readonly #heap: SequenceGroup[] = []

  constructor(policy: SchedulingPolicy) {
    this.#policy = policy
  }

  get size(): number {
    return this.#heap.length
  }

  /** The first group, or undefined. */
  get first(): SequenceGroup | undefined {
    return this.#heap[0]
  }

  has(group: SequenceGroup): boolean {
    return this.#heap[group.queueIndex] === group
  }

  add(group: SequenceGroup): void {
    this.#place(group, this.#heap.length)
    this.#rise(group)
  }

  /** The group must be in this queue. */
  remove(group: SequenceGroup): void {
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
