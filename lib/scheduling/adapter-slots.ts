import type { LoadableAdapter } from '../weights/loadable-adapter.js'
import type { AdapterLoad } from './scheduled-step.js'
import type { SequenceGroup } from './sequence.js'

interface Slot {
  /** null: nothing was loaded yet. */
  adapter: LoadableAdapter | null
  /** Running groups that it serves. */
  users: number
  /** When it served the last one: of slots without users the least is loaded anew first. */
  lastUse: number
}

/**
 * Where adapters (LoRA) lie beside the model: each of so many slots holds one at a time. A group has its adapter in a
 * slot while it runs; one that waits or is swapped out holds none, so that nobody waits for somebody who waits.
 */
export class AdapterSlots {
  readonly #slots: readonly Slot[]
  #loads: AdapterLoad[] = []
  #uses = 0

  constructor(count: number) {
    this.#slots = Array.from({ length: count }, () => ({ adapter: null, users: 0, lastUse: 0 }))
  }

  /** Gives a group that is to run its slot. False when running groups use all for other adapters. */
  take(group: SequenceGroup): boolean {
    if (group.adapter === null) return true
    const slot = this.#slotOf(group.adapter)
    if (slot === null) return false
    slot.users++
    slot.lastUse = this.#uses++
    group.adapterSlot = this.#slots.indexOf(slot)
    return true
  }

  /** A group runs no longer. Harmless for one that has no slot. */
  give(group: SequenceGroup): void {
    if (group.adapterSlot < 0) return
    this.#slots[group.adapterSlot]!.users--
    group.adapterSlot = -1
  }

  /** What is to be loaded before the next step, in this order. */
  takeLoads(): readonly AdapterLoad[] {
    const loads = this.#loads
    this.#loads = []
    return loads
  }

  /** An adapter could not be loaded: the next group that wants it has it loaded anew. */
  forget(adapter: LoadableAdapter): void {
    for (const slot of this.#slots) if (slot.adapter === adapter) slot.adapter = null
  }

  /** Adapters that running groups use. */
  get running(): readonly LoadableAdapter[] {
    return this.#slots.flatMap(({ adapter, users }) => (adapter && users > 0 ? adapter : []))
  }

  /** Throws an Error that names the first slot whose users are not the running groups of its adapter. */
  checkIntegrity(running: Iterable<SequenceGroup>): void {
    const users = this.#slots.map(() => 0)
    for (const { adapter, adapterSlot, requestId } of running) {
      if ((adapter === null) !== adapterSlot < 0)
        throw new Error(`request ${requestId} runs, its adapter in slot ${adapterSlot}`)
      if (adapter !== null) users[adapterSlot]!++
    }
    this.#slots.forEach((slot, i) => {
      if (slot.users !== users[i])
        throw new Error(`adapter slot ${i} counts ${slot.users} users, ${users[i]} run`)
    })
  }

  #slotOf(adapter: LoadableAdapter): Slot | null {
    const known = this.#slots.find((slot) => slot.adapter === adapter)
    if (known) return known
    const idle = this.#slots.filter(({ users }) => users === 0)
    const [slot] = idle.sort((a, b) => a.lastUse - b.lastUse)
    if (!slot) return null
    slot.adapter = adapter
    this.#loads.push({ slot: this.#slots.indexOf(slot), adapter })
    return slot
  }
}
