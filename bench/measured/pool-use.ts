import { BuddyAllocator } from '../paper/systems/buddy-allocator.js'
import { ReservingBlockManager } from '../paper/systems/reserving-blocks.js'
import type { ScheduledStep } from '../../lib/scheduling/scheduled-step.js'
import type { Scheduler } from '../../lib/scheduling/scheduler.js'
import { DEVICE_TIER, type SequenceGroup } from '../../lib/scheduling/sequence.js'
import { loadObserved } from './observed-engine.js'
import { MODEL_LENGTH, type TrafficRequest } from './traffic.js'

/** GiB. */
const SWAP_SPACE = 0.25

export type System = 'paging' | 'orca-max' | 'orca-oracle'

/** Means over the steps in which requests wait, as shares of the pool, and the speed of these steps. */
export interface PoolUse {
  readonly system: System
  /** Sequences in a step. */
  readonly batch: number
  readonly tokenStates: number
  /** Will be written later; will never be written; lies between the reservations; nobody's. */
  readonly reserved: number
  readonly internal: number
  readonly external: number
  readonly free: number
  /** Tokens computed, of prompts and outputs; none is computed twice. */
  readonly tokensPerSecond: number
  readonly steps: number
  readonly preemptions: number
}

export interface PoolTraffic {
  readonly system: System
  /** Sequences of full length that the pool holds. */
  readonly poolSequences: number
  readonly requests: readonly TrafficRequest[]
  readonly model?: string
  readonly modelLength?: number
  readonly blockSize?: number
}

/** Serves all requests, sent at once, from a pool of fixed size. */
export async function measurePool(traffic: PoolTraffic): Promise<PoolUse> {
  const { system, requests, model = 'demo', modelLength = MODEL_LENGTH, blockSize = 16 } = traffic
  const reservedFor = ({ promptLength, params }: SequenceGroup) =>
    system === 'orca-max' ? modelLength : promptLength + params.maxTokens!
  const observer = new PoolObserver(system, reservedFor)
  const engine = await loadObserved({
    ...{ model, maxModelLen: modelLength, blockSize },
    numGpuBlocksOverride: (traffic.poolSequences * modelLength) / blockSize,
    // What is preempted is swapped, which costs next to nothing on a CPU.
    ...{ swapSpace: SWAP_SPACE, preemptionMode: 'swap' },
    ...{ enablePrefixCaching: false, skipTokenizerInit: true },
    onStep: (step, scheduler) => observer.add(step, scheduler),
    ...(system === 'paging'
      ? {}
      : { makeBlocks: (options) => new ReservingBlockManager(options, reservedFor) }),
  })
  await engine.generate(
    requests.map(({ prompt }) => prompt),
    requests.map(({ output }) => ({ maxTokens: output, temperature: 0, ignoreEos: true })),
  )
  engine.checkIntegrity()
  const { preemptions } = engine.stats()
  await engine.close()
  return { system, ...observer.read(), preemptions }
}

class PoolObserver {
  readonly #system: System
  readonly #reservedFor: (group: SequenceGroup) => number
  readonly #sums = { batch: 0, tokenStates: 0, reserved: 0, internal: 0, external: 0, free: 0 }
  #steps = 0
  #computed = 0
  #computedBefore = 0
  #began = 0
  #ended = 0

  constructor(system: System, reservedFor: (group: SequenceGroup) => number) {
    this.#system = system
    this.#reservedFor = reservedFor
  }

  add(step: ScheduledStep, { stats, blocks }: Scheduler): void {
    if (stats.waiting + stats.swapped === 0) return
    this.#ended = performance.now()
    if (this.#steps++ === 0) this.#began = this.#ended
    this.#computedBefore = this.#computed
    this.#computed += step.tokenCount
    const { blockSize, pool } = blocks
    const all = pool.capacity * blockSize
    let [tokens, reserved, internal] = [0, 0, 0]
    for (const { slots, group, tier } of blocks.holders) {
      if (tier !== DEVICE_TIER) continue
      tokens += slots
      if (this.#system === 'paging') {
        internal += blocks.blocksFor(slots) * blockSize - slots
        continue
      }
      const known = group.promptLength + group.params.maxTokens!
      const chunk = BuddyAllocator.chunkFor(blocks.blocksFor(this.#reservedFor(group))) * blockSize
      reserved += known - slots
      internal += chunk - known
    }
    const rest = 1 - (tokens + reserved + internal) / all
    this.#sums.batch += step.sequences.length
    this.#sums.tokenStates += tokens / all
    this.#sums.reserved += reserved / all
    this.#sums.internal += internal / all
    this.#sums[this.#system === 'paging' ? 'free' : 'external'] += rest
  }

  read() {
    const mean = (sum: number) => sum / this.#steps
    const { batch, tokenStates, reserved, internal, external, free } = this.#sums
    return {
      batch: mean(batch),
      tokenStates: mean(tokenStates),
      reserved: mean(reserved),
      internal: mean(internal),
      external: mean(external),
      free: mean(free),
      tokensPerSecond: (1000 * this.#computedBefore) / (this.#ended - this.#began),
      steps: this.#steps,
    }
  }
}
