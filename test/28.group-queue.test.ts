import fc from 'fast-check'
import { expect, test } from 'vitest'
import { GroupQueue } from '../lib/scheduling/group-queue.js'
import { fcfs } from '../lib/scheduling/policy.js'
import type { SequenceGroup } from '../lib/scheduling/sequence.js'
import { makeGroup } from './support/requests.js'
import { runs } from './support/runs.js'

const numRuns = runs(200)

function groupOf(arrival: number): SequenceGroup {
  const group = makeGroup(`r${arrival}`, 1)
  group.arrival = arrival
  return group
}

test('gives groups in the order of the policy, whatever was removed in between', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat()), fc.array(fc.nat()), (arrivals, removals) => {
      const queue = new GroupQueue(fcfs)
      const groups = arrivals.map(groupOf)
      for (const group of groups) queue.add(group)
      for (const pick of removals) {
        if (groups.length === 0) break
        const [group] = groups.splice(pick % groups.length, 1)
        queue.remove(group!)
        expect(queue.has(group!)).toBe(false)
      }
      expect([...queue.inOrder()]).toEqual(groups.toSorted((a, b) => fcfs.compare(a, b)))
      const order: SequenceGroup[] = []
      while (queue.first) {
        order.push(queue.first)
        queue.remove(queue.first)
      }
      expect(order).toEqual(groups.toSorted((a, b) => fcfs.compare(a, b)))
    }),
    { numRuns },
  )
})

test('gives the group that has drawn nothing for longest', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(30)), (times) => {
      const queue = new GroupQueue(fcfs)
      const groups = times.map((idleSince, i) => Object.assign(groupOf(i), { idleSince }))
      for (const group of groups) queue.add(group)
      for (const expected of groups.toSorted((a, b) => a.idleSince - b.idleSince)) {
        expect(queue.longestIdle).toBe(expected)
        queue.remove(expected)
      }
      expect([queue.longestIdle, queue.first, queue.size]).toEqual([undefined, undefined, 0])
    }),
    { numRuns },
  )
})

test('knows its own groups from those of another queue', () => {
  const [one, other] = [new GroupQueue(fcfs), new GroupQueue(fcfs)]
  const [first, second] = [groupOf(1), groupOf(2)]
  one.add(first)
  other.add(second)
  expect([one.has(first), one.has(second), other.has(second), other.size]).toEqual([
    true,
    false,
    true,
    1,
  ])
})
