import type { EngineStats } from '../engine/stats.js'

/** How far a batch is. */
export interface BatchProgress {
  /** Requests of the input. */
  readonly total: number
  /** Requests with a result, those of earlier runs included. */
  readonly finished: number
  /** Requests that an earlier run finished. */
  readonly skipped: number
  /** Requests that this run could not answer: their results hold an error. */
  readonly failed: number
  /** Seconds since this run began. */
  readonly seconds: number
  /** Tokens drawn since this run began, by the whole engine. */
  readonly generatedTokens: number
  /** Tokens drawn a second since this run began. */
  readonly tokensPerSecond: number
  /** Share of the block pool in use, from 0 to 1. */
  readonly cacheUsage: number
  /** Estimate from this run's pace; null before its first result. */
  readonly secondsLeft: number | null
}

/** Counts the results of one run. */
export class ProgressCounter {
  readonly #total: number
  readonly #stats: () => EngineStats
  readonly #start = performance.now()
  readonly #tokensBefore: number
  #skipped = 0
  #done = 0
  #failed = 0

  constructor(total: number, stats: () => EngineStats) {
    this.#total = total
    this.#stats = stats
    this.#tokensBefore = stats().generatedTokens
  }

  addSkipped(): void {
    this.#skipped++
  }

  addDone({ failed }: { failed: boolean }): void {
    this.#done++
    if (failed) this.#failed++
  }

  read(): BatchProgress {
    const { generatedTokens: tokensNow, cacheUsage } = this.#stats()
    const seconds = (performance.now() - this.#start) / 1000
    const generatedTokens = tokensNow - this.#tokensBefore
    const finished = this.#skipped + this.#done
    return {
      total: this.#total,
      finished,
      skipped: this.#skipped,
      failed: this.#failed,
      seconds,
      generatedTokens,
      tokensPerSecond: seconds > 0 ? generatedTokens / seconds : 0,
      cacheUsage,
      secondsLeft: this.#done === 0 ? null : (seconds / this.#done) * (this.#total - finished),
    }
  }
}
