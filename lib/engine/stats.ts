import type { StepResult } from '../native/executor.js'
import type { BlockPool } from '../scheduling/block-pool.js'
import type { ScheduledStep } from '../scheduling/scheduled-step.js'
import type { SchedulerStats } from '../scheduling/scheduler.js'

/** What an engine did since it was loaded, and what it holds at present. */
export interface EngineStats extends SchedulerStats {
  /** Steps computed. */
  readonly steps: number
  /** Seconds that the device computed. */
  readonly computeSeconds: number
  /** Prompt tokens computed; those from the prefix cache are not among them. */
  readonly promptTokens: number
  /** Tokens drawn. */
  readonly generatedTokens: number
  /** Requests that ended, aborted ones too. */
  readonly finishedRequests: number
  /** Share of the block pool that sequences own, from 0 to 1. */
  readonly cacheUsage: number
  /** The largest share so far. */
  readonly peakCacheUsage: number
}

/** Counts what the scheduler does not. */
export class StatsKeeper {
  #steps = 0
  #computeSeconds = 0
  #promptTokens = 0
  /** Without those that drafts gained. */
  #generatedTokens = 0
  #finishedRequests = 0
  #peakCacheUsage = 0

  addStep(step: ScheduledStep, result: StepResult, pool: BlockPool): void {
    this.#steps++
    this.#computeSeconds += result.seconds
    this.#peakCacheUsage = Math.max(this.#peakCacheUsage, usageOf(pool.used, pool.capacity))
    for (const { sequence, start, count, draws, drafts } of step.sequences) {
      this.#generatedTokens += sequence.finished ? 0 : draws - drafts
      this.#promptTokens += Math.max(0, Math.min(start + count, sequence.promptLength) - start)
    }
  }

  addRequest(): void {
    this.#finishedRequests++
  }

  read(scheduler: SchedulerStats): EngineStats {
    return {
      ...scheduler,
      steps: this.#steps,
      computeSeconds: this.#computeSeconds,
      promptTokens: this.#promptTokens,
      generatedTokens: this.#generatedTokens + scheduler.acceptedTokens,
      finishedRequests: this.#finishedRequests,
      cacheUsage: usageOf(scheduler.usedBlocks, scheduler.totalBlocks),
      peakCacheUsage: this.#peakCacheUsage,
    }
  }
}

function usageOf(used: number, total: number): number {
  return total === 0 ? 0 : used / total
}
