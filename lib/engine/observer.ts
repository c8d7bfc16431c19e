import type { SamplingParams } from '../sampling-params.js'
import type { FinishReason, Sequence } from '../scheduling/sequence.js'
import type { ScheduledStep } from '../scheduling/scheduled-step.js'
import type { StepResult } from '../native/executor.js'
import type { TraceHeaders } from './call-options.js'
import type { RequestMetrics } from './outputs.js'
import type { Request } from './request.js'

/** One step that was computed. */
export interface StepRecord {
  /** Seconds that the device computed. */
  readonly seconds: number
  /** Token rows of the step: prompt tokens and drawn ones. */
  readonly tokens: number
}

/** A request that is over. */
export interface RequestRecord {
  readonly requestId: string
  readonly params: SamplingParams
  /** Of the trace that it belongs to; null: of none. */
  readonly traceHeaders: TraceHeaders | null
  readonly promptTokens: number
  readonly generatedTokens: number
  /** Outputs that were asked for. */
  readonly n: number
  /** The most tokens that an output could have. */
  readonly maxTokens: number
  /** One an output. */
  readonly finishReasons: readonly FinishReason[]
  readonly metrics: Readonly<RequestMetrics>
}

/** Who watches an engine. Called within its steps: keep it short, and throw nothing. */
export interface EngineObserver {
  onStep?(step: StepRecord): void
  /** An output's first token came, so many seconds after its request. */
  onFirstToken?(seconds: number): void
  /** Another token came, so many seconds after the one before. */
  onNextToken?(seconds: number): void
  onEnd?(request: RequestRecord): void
}

/** Those who watch one engine; without any, watching costs nothing. */
export class Observers {
  readonly #all = new Set<EngineObserver>()
  /** When the present step was computed. */
  #now = 0

  /** Gives the function that ends the watching. */
  add(observer: EngineObserver): () => void {
    this.#all.add(observer)
    return () => void this.#all.delete(observer)
  }

  step(step: ScheduledStep, { seconds }: StepResult): void {
    if (this.#all.size === 0) return
    this.#now = Date.now()
    const tokens = step.sequences.reduce((sum, { count }) => sum + count, 0)
    for (const observer of this.#all) observer.onStep?.({ seconds, tokens })
  }

  /** Of the step told of last. */
  token({ arrivalTime, tokenTimes }: Request, { index }: Sequence): void {
    if (this.#all.size === 0) return
    const now = this.#now
    const before = tokenTimes[index]
    tokenTimes[index] = now
    for (const observer of this.#all) {
      if (before === undefined) observer.onFirstToken?.((now - arrivalTime) / 1000)
      else observer.onNextToken?.((now - before) / 1000)
    }
  }

  end(request: Request): void {
    for (const observer of this.#all) observer.onEnd?.(request.record())
  }
}
