import type { Measured } from './client.js'

/** Mean, median and tails, in milliseconds. */
export interface Distribution {
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
}

/** Waits that still count as good, in milliseconds. */
export interface Goals {
  readonly ttft?: number
  readonly tpot?: number
}

export interface LoadReport {
  readonly completed: number
  readonly failed: number
  readonly seconds: number
  readonly promptTokens: number
  readonly outputTokens: number
  readonly requestsPerSecond: number
  readonly outputTokensPerSecond: number
  /** Requests a second that kept within the goals; null without goals. */
  readonly goodput: number | null
  /** Time to first token, time per output token after it, inter-token latency, end to end. */
  readonly ttft: Distribution
  readonly tpot: Distribution
  readonly itl: Distribution
  readonly e2el: Distribution
  /** The first few failures. */
  readonly errors: readonly string[]
}

export function reportOf(all: readonly Measured[], seconds: number, goals: Goals): LoadReport {
  const done = all.filter(({ error }) => error === null)
  const sum = (of: (each: Measured) => number) => done.reduce((total, each) => total + of(each), 0)
  const outputTokens = sum((each) => each.outputTokens)
  const hasGoals = goals.ttft !== undefined || goals.tpot !== undefined
  const good = done.filter(
    (each) =>
      each.firstToken <= (goals.ttft ?? Infinity) && timePerToken(each) <= (goals.tpot ?? Infinity),
  )
  return {
    ...{ completed: done.length, failed: all.length - done.length, seconds },
    ...{ promptTokens: sum((each) => each.promptTokens), outputTokens },
    requestsPerSecond: done.length / seconds,
    outputTokensPerSecond: outputTokens / seconds,
    goodput: hasGoals ? good.length / seconds : null,
    ttft: distributionOf(done.map(({ firstToken }) => firstToken)),
    tpot: distributionOf(done.filter(({ outputTokens }) => outputTokens > 1).map(timePerToken)),
    itl: distributionOf(done.flatMap(({ gaps }) => gaps)),
    e2el: distributionOf(done.map(({ total }) => total)),
    errors: all.flatMap(({ error }) => error ?? []).slice(0, 5),
  }
}

function timePerToken({ total, firstToken, outputTokens }: Measured): number {
  return outputTokens > 1 ? (total - firstToken) / (outputTokens - 1) : 0
}

export function distributionOf(values: readonly number[]): Distribution {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
  const mean = sorted.reduce((total, value) => total + value, 0) / Math.max(1, sorted.length)
  return { mean, p50: at(0.5), p90: at(0.9), p99: at(0.99) }
}
