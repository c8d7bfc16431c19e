import type { Executor } from '../native/executor.js'
import type { Scheduler } from '../scheduling/scheduler.js'
import type { EngineConfig } from './config.js'
import type { Intake } from './intake.js'
import type { Loras } from './loras.js'

/** What an engine is made of; `LLMEngine.load` makes them, tests may bring their own. */
export interface EngineParts {
  /** The model's name as it was asked for. */
  readonly model: string
  readonly config: EngineConfig
  /** Tokens of the longest sequence. */
  readonly maxModelLen: number
  /** One line about the device, such as "cpu avx512, 2 threads". */
  readonly device: string
  readonly scheduler: Scheduler
  readonly executor: Executor
  readonly intake: Intake
  readonly loras: Loras
}
