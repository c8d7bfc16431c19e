import { setTimeout } from 'node:timers/promises'
import { measure, type Measured, type Target } from './client.js'
import { reportOf, type Goals, type LoadReport } from './report.js'
import { planWorkload, type WorkloadOptions } from './workload.js'

export interface LoadOptions extends WorkloadOptions {
  readonly target: Target
  /** Requests under way at once at most. */
  readonly concurrency: number
  readonly goals: Goals
  readonly onProgress?: (done: number) => void
}

/** Puts a server under load: requests are sent when they are due, however slow the others are. */
export async function runLoad(options: LoadOptions): Promise<LoadReport> {
  const { target, concurrency, onProgress } = options
  const measured: Measured[] = []
  const underWay = new Set<Promise<void>>()
  const begin = performance.now()
  for (const request of planWorkload(options)) {
    const wait = request.at * 1000 - (performance.now() - begin)
    if (wait > 0) await setTimeout(wait)
    while (underWay.size >= concurrency) await Promise.race(underWay)
    const one = measure(target, request).then((result) => {
      measured.push(result)
      underWay.delete(one)
      onProgress?.(measured.length)
    })
    underWay.add(one)
  }
  await Promise.all(underWay)
  return reportOf(measured, (performance.now() - begin) / 1000, options.goals)
}
