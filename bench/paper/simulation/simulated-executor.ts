import type { Executor, StepResult } from '../../../lib/native/executor.js'
import type { ScheduledStep } from '../../../lib/scheduling/scheduled-step.js'

type TopRows = Pick<StepResult, 'topStarts' | 'topIds' | 'topLogprobs'>

export interface SimulatedModel {
  /** What a step costs. */
  secondsOf(step: ScheduledStep): number
  /** The likely tokens of its sample rows, for beam searches. Default: none. */
  rowsOf?(step: ScheduledStep): TopRows
}

const noInts = new Int32Array(0)
const noFloats = new Float32Array(0)
const noRows: TopRows = { topStarts: noInts, topIds: noInts, topLogprobs: noFloats }

/** An executor that computes nothing: a step takes the seconds that a model says, on the executor's own clock. */
export class SimulatedExecutor implements Executor {
  onResult: (result: StepResult) => void = () => undefined
  onAdapterFailed: Executor['onAdapterFailed'] = () => undefined
  onDead: (error: Error) => void = () => undefined
  /** Simulated seconds since the start. */
  now = 0
  readonly #model: SimulatedModel
  /** Every token is 0; grows with the largest step. */
  #tokens = new Int32Array(256)

  constructor(model: SimulatedModel) {
    this.#model = model
  }

  submit(step: ScheduledStep): void {
    const seconds = this.#model.secondsOf(step)
    this.now += seconds
    if (this.#tokens.length < step.sampleCount) this.#tokens = new Int32Array(2 * step.sampleCount)
    this.onResult({
      stepId: step.id,
      seconds,
      tokenIds: this.#tokens.subarray(0, step.sampleCount),
      logprobs: noFloats,
      ranks: noInts,
      ...(this.#model.rowsOf?.(step) ?? noRows),
    })
  }

  copy(): Promise<void> {
    return Promise.resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
