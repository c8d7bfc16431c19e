import type { TraceRequest } from '../workload/trace.js'
import { quantile } from './token-times.js'

/** The normalized latencies of a trace: seconds from arrival to the end, divided by the output's tokens. */
export class LatencyRecord {
  readonly #trace: readonly TraceRequest[]
  readonly #limit: number
  readonly #warmUp: number
  readonly #values: number[] = []
  #sum = 0
  /** Requests of the trace that count. */
  readonly #expected: number

  /**
   * @param limit mean at which `exceeded` becomes true, in s/token
   * @param warmUp requests that arrive before this many seconds do not count
   */
  constructor(trace: readonly TraceRequest[], limit: number, warmUp: number) {
    this.#trace = trace
    this.#limit = limit
    this.#warmUp = warmUp
    this.#expected = trace.reduce((count, { time }) => count + (time >= warmUp ? 1 : 0), 0)
  }

  finish(index: number, now: number): void {
    const { time, output } = this.#trace[index]!
    if (time < this.#warmUp) return
    const latency = (now - time) / output
    this.#values.push(latency)
    this.#sum += latency
  }

  /** Whether the mean over the trace exceeds the limit, however fast the rest will be. */
  get exceeded(): boolean {
    return this.#sum > this.#limit * this.#expected
  }

  /** Mean over the finished requests, in s/token; where it exceeds the limit, what it is at least. */
  get mean(): number {
    return this.#sum / (this.exceeded ? this.#expected : this.#values.length)
  }

  /** The latency that a share of the finished requests, in [0, 1], does not exceed. */
  quantile(share: number): number {
    return quantile(this.#values, share)
  }
}
