import type { ScheduledStep } from '../../../lib/scheduling/scheduled-step.js'
import { BLOCK_SIZE, type ServingSystem } from '../systems/serving-systems.js'
import type { ServedModel } from './models.js'

/** Shares of the pool of keys and values, in %: Figure 2's four parts. */
export interface MemoryShares {
  /** Slots that hold a token. */
  readonly tokens: number
  /** Slots that the same sequence will use later. */
  readonly reserved: number
  /** Slots that their sequence will never use. */
  readonly internal: number
  /** All other slots: free ones, and what an allocator rounds up. */
  readonly external: number
}

/** Adds up, step by step, what the pool's slots are used for. One sequence a request. */
export class MemoryRecord {
  readonly #system: ServingSystem
  readonly #slots: number
  #steps = 0
  #tokens = 0
  #reserved = 0
  #internal = 0

  constructor(system: ServingSystem, model: ServedModel) {
    this.#system = system
    this.#slots = model.blocks * BLOCK_SIZE
  }

  readonly observe = ({ sequences }: ScheduledStep): void => {
    this.#steps++
    for (const { sequence, start, count } of sequences) {
      const { group } = sequence
      const length = start + count
      const final = group.promptLength + group.params.maxTokens!
      const kept = this.#system.reservedFor?.(group) ?? length
      const room = Math.ceil(kept / BLOCK_SIZE) * BLOCK_SIZE
      this.#tokens += length
      this.#reserved += Math.min(room, final) - length
      this.#internal += Math.max(0, room - final)
    }
  }

  get shares(): MemoryShares {
    const percent = (sum: number) => (100 * sum) / (this.#steps * this.#slots)
    const tokens = percent(this.#tokens)
    const reserved = percent(this.#reserved)
    const internal = percent(this.#internal)
    return { tokens, reserved, internal, external: 100 - tokens - reserved - internal }
  }
}
