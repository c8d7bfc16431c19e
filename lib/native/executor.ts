import type { BlockCopy, ScheduledStep } from '../scheduling/scheduled-step.js'
import type { LoadableAdapter } from '../weights/loadable-adapter.js'

/** What a step computed, one entry a sample row. The arrays belong to the receiver. */
export interface StepResult {
  readonly stepId: number
  /** Compute time on the engine thread, in seconds. */
  readonly seconds: number
  /** Drawn tokens; for a scored prompt position its target. [R] */
  readonly tokenIds: Int32Array
  /** Log-probability of `tokenIds[r]`, NaN where the row asked for none. [R] */
  readonly logprobs: Float32Array
  /** Rank of `tokenIds[r]`, 1 the most likely; 0 where the row asked for none, NO_NUMBERS where nothing could be drawn. [R] */
  readonly ranks: Int32Array
  /** The most likely tokens of row r: `topIds[topStarts[r] … topStarts[r+1] − 1]`, in falling order. [R + 1] */
  readonly topStarts: Int32Array
  readonly topIds: Int32Array
  readonly topLogprobs: Float32Array
  /** The pooled rows, one behind the other, in the order of the step's sequences. Absent: none. */
  readonly pooled?: Float32Array
}

/**
 * Runs scheduled steps in the order of submission. The engine's only way to compute: native
 * (native-executor.ts), simulated (bench/paper) and fake (tests) executors all look like this.
 */
export interface Executor {
  /** Starts a step and returns at once; the step's arrays may change as soon as it has returned. */
  submit(step: ScheduledStep): void
  /** Called once a step, in order; set by the engine before the first submit. */
  onResult: (result: StepResult) => void
  /** Called when an adapter could not be loaded, before the result of the step that wanted it, which then means nothing. */
  onAdapterFailed: (adapter: LoadableAdapter, error: Error) => void
  /** Called when the executor can never compute again; every later submit throws. */
  onDead: (error: Error) => void
  /** Copies blocks between steps. */
  copy(copies: readonly BlockCopy[]): Promise<void>
  /** Ends after the step in flight, frees the device's memory. Safe to call twice. */
  close(): Promise<void>
}
