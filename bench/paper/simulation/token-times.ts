import type { ScheduledStep } from '../../../lib/scheduling/scheduled-step.js'
import type { Sequence } from '../../../lib/scheduling/sequence.js'
import type { TraceRequest } from '../workload/trace.js'

/** When tokens come: the time to each output's first one, and the times between the others. */
export class TokenTimes {
  readonly #trace: readonly TraceRequest[]
  readonly #last = new WeakMap<Sequence, number>()
  readonly #first: number[] = []
  readonly #between: number[] = []

  constructor(trace: readonly TraceRequest[]) {
    this.#trace = trace
  }

  readonly observe = ({ sequences }: ScheduledStep, now: number): void => {
    for (const { sequence, draws } of sequences) {
      if (draws === 0) continue
      const last = this.#last.get(sequence)
      if (last !== undefined) this.#between.push(now - last)
      else this.#first.push(now - this.#trace[Number(sequence.group.requestId)]!.time)
      this.#last.set(sequence, now)
    }
  }

  /** Seconds from arrival to the first token that a share of the outputs, in [0, 1], does not exceed. */
  firstQuantile(share: number): number {
    return quantile(this.#first, share)
  }

  /** The same for the seconds from one token to the next. */
  betweenQuantile(share: number): number {
    return quantile(this.#between, share)
  }
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!
}
