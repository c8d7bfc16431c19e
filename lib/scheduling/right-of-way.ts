import type { BlockManager } from './block-manager.js'
import { blocksOfGroup, blocksOwedTo } from './group-memory.js'
import type { GroupQueue } from './group-queue.js'
import type { SchedulingPolicy } from './policy.js'
import type { RunningGroups } from './running-groups.js'
import type { SequenceGroup } from './sequence.js'

interface Traffic {
  readonly running: RunningGroups
  readonly queue: GroupQueue
  readonly policy: SchedulingPolicy
  readonly blocks: BlockManager
  /** Sequences that may run at once, and blocks to be kept free. */
  readonly sequenceLimit: number
  readonly reserve: number
}

/**
 * The number of running groups, counted from the last, that must give way to waiting ones that go
 * before them: as many as these need to find room, and nobody for a group that would find none all
 * the same.
 */
export function countVictims(traffic: Traffic): number {
  const { running, queue, policy, blocks } = traffic
  const goesBefore = (head: SequenceGroup, placesFromEnd: number) => {
    const other = running.fromEnd(placesFromEnd)
    return other !== undefined && policy.compare(head, other) < 0
  }
  if (queue.first === undefined || !goesBefore(queue.first, 0)) return 0

  let sequences = traffic.sequenceLimit - running.sequences
  let free = blocks.pool.available - traffic.reserve
  for (const group of running) free -= blocksOwedTo(blocks, group)
  let victims = 0
  for (const head of queue.inOrder()) {
    if (!goesBefore(head, victims)) break
    sequences -= head.live
    free -= blocksOfGroup(blocks, head.promptLength, head.pace, head.live)
    let needed = victims
    for (; sequences < 0 || free < 0; needed++) {
      if (!goesBefore(head, needed)) return victims
      const victim = running.fromEnd(needed)!
      sequences += victim.live
      free += blocks.ownedBy(victim) + blocksOwedTo(blocks, victim)
    }
    victims = needed
  }
  return victims
}
