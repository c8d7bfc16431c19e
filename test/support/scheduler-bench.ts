import { expect } from 'vitest'
import { Scheduler, type Judge, type SchedulerOptions } from '../../lib/scheduling/scheduler.js'
import type { ScheduledStep } from '../../lib/scheduling/scheduled-step.js'
import { FakeExecutor } from './fake-executor.js'
import { judge, makeGroup } from './requests.js'

/** A scheduler with a fake executor, stepped by hand; its state is checked at every turn. */
export class Bench {
  readonly scheduler: Scheduler
  readonly executor: FakeExecutor

  constructor(options: Partial<SchedulerOptions> = {}) {
    const all = {
      blockSize: 4,
      numBlocks: 101,
      maxNumBatchedTokens: 16,
      maxNumSeqs: 8,
      maxSamples: 16,
      enablePrefixCaching: false,
      watermark: 0,
      ...options,
    }
    this.scheduler = new Scheduler(all)
    this.executor = new FakeExecutor({ ...all, vocabSize: 100 })
  }

  /** Adds requests of these prompt lengths, named a, b, c …, that go on for long. */
  add(...lengths: number[]) {
    const { running, waiting, swapped } = this.scheduler.stats
    const first = running + waiting + swapped
    const groups = lengths.map((length, i) =>
      makeGroup(String.fromCharCode(97 + first + i), length, { maxTokens: 1000, seed: i }),
    )
    for (const group of groups) this.scheduler.add(group)
    return groups
  }

  schedule(): ScheduledStep {
    const step = this.scheduler.schedule()!
    this.scheduler.checkIntegrity()
    return step
  }

  commit(step: ScheduledStep, verdict: Judge = judge, result = this.executor.run(step)): void {
    this.scheduler.commit(step, result, verdict)
    this.scheduler.checkIntegrity()
  }

  /** One whole step, as `request:tokens` of each part, with `+draws`. */
  step(verdict: Judge = judge): string {
    const step = this.schedule()
    this.commit(step, verdict)
    return print(step)
  }

  finish(): void {
    while (this.scheduler.hasWork) this.step()
    expect(this.scheduler.stats).toMatchObject({ running: 0, waiting: 0, swapped: 0 })
    expect(this.scheduler.stats).toMatchObject({ usedBlocks: 0, usedHostBlocks: 0 })
  }
}

/** `request:tokens` of each part of a step, with `+draws`. */
export function print({ sequences }: ScheduledStep): string {
  return sequences
    .map(({ sequence: { group, index }, count, draws }) => {
      const name = index > 0 ? `${group.requestId}${index}` : group.requestId
      return `${name}:${count}${draws > 0 ? `+${draws}` : ''}`
    })
    .join(' ')
}
