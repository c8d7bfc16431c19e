import type { Executor, StepResult } from '../native/executor.js'
import type { ScheduledStep } from '../scheduling/scheduled-step.js'

/** A step on its way, and what it will give. */
export interface Flight {
  readonly step: ScheduledStep
  readonly result: Promise<StepResult>
}

interface Waiting {
  resolve(result: StepResult): void
  reject(error: unknown): void
}

/** The steps that an executor has not answered yet. Results come in the order of submission. */
export class Flights {
  readonly #executor: Executor
  readonly #waiting: Waiting[] = []

  constructor(executor: Executor) {
    this.#executor = executor
    executor.onResult = (result) => this.#waiting.shift()?.resolve(result)
  }

  /** Throws when the executor takes nothing any more. */
  submit(step: ScheduledStep): Flight {
    this.#executor.submit(step)
    const result = new Promise<StepResult>((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
    })
    result.catch(() => undefined) // of a step ahead, whoever awaits the one before learns of the failure
    return { step, result }
  }

  /** Fails every step that is on its way. */
  fail(reason: unknown): void {
    for (const waiting of this.#waiting.splice(0)) waiting.reject(reason)
  }
}
