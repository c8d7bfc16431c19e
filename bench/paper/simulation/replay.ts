import { resolveSamplingParams } from '../../../lib/engine/check-sampling.js'
import { BeamSearch } from '../../../lib/scheduling/beam-search.js'
import type { ScheduledStep } from '../../../lib/scheduling/scheduled-step.js'
import type { Judge, Scheduler, SchedulerOptions } from '../../../lib/scheduling/scheduler.js'
import { SequenceGroup } from '../../../lib/scheduling/sequence.js'
import type { ServingSystem } from '../systems/serving-systems.js'
import type { TraceRequest } from '../workload/trace.js'
import type { BeamForks } from './beam-forks.js'
import { LatencyRecord } from './latency-record.js'
import type { ServedModel } from './models.js'
import { SimulatedExecutor } from './simulated-executor.js'
import { loadOf } from './step-load.js'

export interface ReplayOptions {
  readonly system: ServingSystem
  readonly model: ServedModel
  readonly trace: readonly TraceRequest[]
  readonly scheduler?: Partial<SchedulerOptions>
  /** Default: tokens of the given number that mean nothing. */
  readonly promptOf?: (request: TraceRequest, index: number) => Int32Array
  /** Samples drawn for each request, or beams of its search where `beams` is given. Default 1. */
  readonly outputs?: number
  /** Stands for the model in beam searches. */
  readonly beams?: BeamForks
  /** Ends after this many simulated seconds. Default: when every request is done. */
  readonly limit?: number
  /** Requests that arrive before this many seconds have no part in the latency. Default 60. */
  readonly warmUp?: number
  /** Ends as soon as the mean normalized latency of the whole trace must exceed this, in s/token. */
  readonly latencyLimit?: number
  /** Sees each step before it runs. */
  readonly observe?: (step: ScheduledStep, scheduler: Scheduler) => void
  /** Sees each step when it is done, at a simulated second. */
  readonly afterwards?: (step: ScheduledStep, now: number) => void
}

export interface Replayed {
  /** Requests that finished, and simulated seconds until then. */
  readonly finished: number
  readonly seconds: number
  readonly steps: number
  /** Mean number of requests in a step. */
  readonly batch: number
  readonly preemptions: number
  readonly latency: LatencyRecord
}

const WARM_UP = 60

const sampling = resolveSamplingParams(
  { ignoreEos: true },
  { vocabSize: 1, maxLogprobs: 0, maxNumSeqs: 1, hasTokenizer: false, defaultMaxTokens: null },
)

const searching = {
  lengthPenalty: 1,
  earlyStopping: false,
  minTokens: 0,
  endTokenIds: new Set<number>(),
} as const

const anyTokens = new Int32Array(4096)
const anyPrompt = ({ input }: TraceRequest) => anyTokens.subarray(0, input)

export interface GroupStart {
  readonly requestId: string
  readonly promptTokenIds: Int32Array
  readonly maxTokens: number
  readonly outputs?: number
  readonly beams?: BeamSearch | null
}

/** A request as the engine would queue it. */
export function makeGroup(start: GroupStart): SequenceGroup {
  const { requestId, promptTokenIds, maxTokens, outputs = 1, beams = null } = start
  const params = { ...sampling, n: outputs, bestOf: outputs, maxTokens }
  return new SequenceGroup({ requestId, promptTokenIds, params, seedLow: 0, seedHigh: 0, beams })
}

/** Serves a trace on the simulated clock: schedule, execute and commit, as the engine does. */
export function replay(options: ReplayOptions): Replayed {
  return new Replay(options).run()
}

class Replay {
  readonly #options: ReplayOptions
  readonly #scheduler: Scheduler
  readonly #executor: SimulatedExecutor
  readonly #latency: LatencyRecord
  readonly #batchSize: number | null
  #arrived = 0
  #queued = 0
  #finished = 0
  #steps = 0
  #groups = 0

  constructor(options: ReplayOptions) {
    const { system, model, trace, scheduler, latencyLimit, beams } = options
    this.#options = options
    this.#scheduler = system.makeScheduler(model, scheduler)
    this.#latency = new LatencyRecord(trace, latencyLimit ?? Infinity, options.warmUp ?? WARM_UP)
    this.#batchSize = system.batchSize?.(model) ?? null
    this.#executor = new SimulatedExecutor({
      secondsOf: (step) => {
        const load = loadOf(step)
        this.#groups += load.groups
        return system.secondsOf(load, model)
      },
      ...(beams && { rowsOf: (step) => beams.rowsOf(step) }),
    })
  }

  run(): Replayed {
    const { limit = Infinity, observe, afterwards } = this.#options
    const scheduler = this.#scheduler
    while (this.#executor.now <= limit && !this.#latency.exceeded && this.#queueArrivals()) {
      const step = scheduler.schedule()
      if (step === null) throw new Error('the scheduler has work but schedules nothing')
      observe?.(step, scheduler)
      this.#executor.onResult = (result) => scheduler.commit(step, result, endAtLength)
      this.#executor.submit(step)
      this.#steps++
      this.#countFinished(step)
      afterwards?.(step, this.#executor.now)
    }
    return {
      finished: this.#finished,
      seconds: this.#executor.now,
      steps: this.#steps,
      batch: this.#groups / this.#steps,
      preemptions: scheduler.stats.preemptions,
      latency: this.#latency,
    }
  }

  /** Queues what has arrived by now, or by the next arrival where nothing is left to do. False at the end. */
  #queueArrivals(): boolean {
    const { trace } = this.#options
    this.#countArrivals()
    if (!this.#scheduler.hasWork && this.#queued === this.#arrived) {
      const next = trace[this.#arrived]
      if (next === undefined) return false
      this.#executor.now = next.time
      this.#countArrivals()
    }
    if (this.#batchSize === null) this.#queueUpTo(this.#arrived)
    else if (!this.#scheduler.hasWork) this.#queueBatch(this.#batchSize)
    return true
  }

  #countArrivals(): void {
    const { trace } = this.#options
    while (this.#arrived < trace.length && trace[this.#arrived]!.time <= this.#executor.now) {
      this.#arrived++
    }
  }

  /** Requests that are served together all go on until the longest output is complete. */
  #queueBatch(size: number): void {
    const { trace } = this.#options
    const end = Math.min(this.#queued + size, this.#arrived)
    let longest = 0
    for (let i = this.#queued; i < end; i++) longest = Math.max(longest, trace[i]!.output)
    this.#queueUpTo(end, longest)
  }

  #queueUpTo(end: number, outputLength?: number): void {
    const { trace, promptOf = anyPrompt } = this.#options
    for (; this.#queued < end; this.#queued++) {
      const request = trace[this.#queued]!
      const prompt = promptOf(request, this.#queued)
      this.#scheduler.add(this.#groupOf(prompt, outputLength ?? request.output))
    }
  }

  #groupOf(promptTokenIds: Int32Array, maxTokens: number): SequenceGroup {
    const { outputs = 1, beams } = this.#options
    const search = beams ? new BeamSearch({ ...searching, width: outputs, maxTokens }) : null
    const requestId = String(this.#queued)
    return makeGroup({ requestId, promptTokenIds, maxTokens, outputs, beams: search })
  }

  #countFinished({ sequences }: ScheduledStep): void {
    let last: SequenceGroup | null = null
    for (const { sequence } of sequences) {
      const { group } = sequence
      if (group === last || !group.finished) continue
      last = group
      this.#finished++
      this.#latency.finish(Number(group.requestId), this.#executor.now)
    }
  }
}

/** Outputs have the length that the trace says, whatever is drawn. */
const endAtLength: Judge = ({ group, outputLength }) =>
  outputLength < group.params.maxTokens! ? null : { finishReason: 'length' }
