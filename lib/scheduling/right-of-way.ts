import type { LoadableAdapter } from '../weights/loadable-adapter.js'
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
  /** Sequences that may run at once, adapters that they may have, and blocks to be kept free. */
  readonly sequenceLimit: number
  readonly adapterSlots: number
  readonly reserve: number
}

/**
 * The running groups, from the last on, that must give way to waiting ones that go before them: as many as these need
 * to find room, and nobody for a group that would find none all the same.
 */
export function victimsOf(traffic: Traffic): readonly SequenceGroup[] {
  const { running, queue, policy, blocks, adapterSlots } = traffic
  const goesBefore = (head: SequenceGroup, placesFromEnd: number) => {
    const other = running.fromEnd(placesFromEnd)
    return other !== undefined && policy.compare(head, other) < 0
  }
  const victims: SequenceGroup[] = []
  if (queue.first === undefined || !goesBefore(queue.first, 0)) return victims

  let sequences = traffic.sequenceLimit - running.sequences
  let free = blocks.pool.available - traffic.reserve
  const adapters = new AdapterUses()
  for (const group of running) {
    free -= blocksOwedTo(blocks, group)
    adapters.add(group)
  }
  let place = 0
  for (const head of queue.inOrder()) {
    if (!goesBefore(head, place)) break
    sequences -= head.live
    free -= blocksOfGroup(blocks, head.promptLength, head.pace, head.live)
    adapters.add(head)
    const giving: SequenceGroup[] = []
    for (; sequences < 0 || free < 0 || adapters.count > adapterSlots; place++) {
      if (!goesBefore(head, place)) return victims
      const victim = running.fromEnd(place)!
      // Where only slots of adapters are missing, those who have none stay.
      if (sequences >= 0 && free >= 0 && victim.adapter === null) continue
      sequences += victim.live
      free += blocks.ownedBy(victim) + blocksOwedTo(blocks, victim)
      adapters.remove(victim)
      giving.push(victim)
    }
    victims.push(...giving)
  }
  return victims
}

/** The adapters of some groups. */
class AdapterUses {
  readonly #uses = new Map<LoadableAdapter, number>()

  get count(): number {
    return this.#uses.size
  }

  add({ adapter }: SequenceGroup): void {
    if (adapter) this.#uses.set(adapter, (this.#uses.get(adapter) ?? 0) + 1)
  }

  remove({ adapter }: SequenceGroup): void {
    if (!adapter) return
    const left = this.#uses.get(adapter)! - 1
    if (left > 0) this.#uses.set(adapter, left)
    else this.#uses.delete(adapter)
  }
}
