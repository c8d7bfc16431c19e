import type { StepResult } from '../../../lib/native/executor.js'
import type { ScheduledStep } from '../../../lib/scheduling/scheduled-step.js'
import type { SequenceGroup } from '../../../lib/scheduling/sequence.js'
import type { Random } from '../workload/random.js'

type TopRows = Pick<StepResult, 'topStarts' | 'topIds' | 'topLogprobs'>

/** How many beams of the next step continue each beam of this one. */
interface Generation {
  /** Tokens of each beam when it was drawn. */
  readonly length: number
  readonly children: Int32Array
}

/** Fitted to the savings of beam search in Figure 15, Alpaca. */
export const BEAM_CHANGE = 0.1

/** Initial state of the generator that decides it. */
export const BEAM_STATE = 5

/**
 * Stands for a model in a beam search: each beam descends from the one in its own place or, with a
 * small probability, from any. It reports as many likely tokens after a beam as beams shall descend from it,
 * all equally likely, so that the search keeps just these.
 */
export class BeamForks {
  readonly #change: number
  readonly #random: Random
  readonly #generations = new WeakMap<SequenceGroup, Generation>()

  /** @param change probability that a beam's parent is drawn among all */
  constructor(change: number, random: Random) {
    this.#change = change
    this.#random = random
  }

  /** The most likely tokens of each sample row of a step of beam searches. */
  rowsOf(step: ScheduledStep): TopRows {
    const starts: number[] = [0]
    const ids: number[] = []
    for (const { sequence, draws } of step.sequences) {
      if (draws === 0) continue
      const { group, index } = sequence
      const children = group.forked ? this.#childrenOf(group)[index]! : group.sequences.length
      for (let token = 0; token < children; token++) ids.push(token)
      starts.push(ids.length)
    }
    return {
      topStarts: Int32Array.from(starts),
      topIds: Int32Array.from(ids),
      topLogprobs: new Float32Array(ids.length),
    }
  }

  #childrenOf(group: SequenceGroup): Int32Array {
    const { pace: length } = group
    const drawn = this.#generations.get(group)
    if (drawn?.length === length) return drawn.children
    const width = group.sequences.length
    const children = new Int32Array(width)
    for (let place = 0; place < width; place++) {
      const parent = this.#random.next() < this.#change ? this.#random.below(width) : place
      children[parent]!++
    }
    this.#generations.set(group, { length, children })
    return children
  }
}
