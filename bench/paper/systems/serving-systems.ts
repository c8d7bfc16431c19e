import { Scheduler, type SchedulerOptions } from '../../../lib/scheduling/scheduler.js'
import type { SequenceGroup } from '../../../lib/scheduling/sequence.js'
import { nativeHost, padded, pythonHost, stepSeconds } from '../simulation/cost-model.js'
import type { ServedModel } from '../simulation/models.js'
import type { StepLoad } from '../simulation/step-load.js'
import { MODEL_LENGTH } from '../workload/trace.js'
import { ReservingBlockManager } from './reserving-blocks.js'

export const BLOCK_SIZE = 16

/** A way to serve requests: a scheduler with its block manager, and what a step of it costs. */
export interface ServingSystem {
  readonly label: string
  makeScheduler(model: ServedModel, options?: Partial<SchedulerOptions>): Scheduler
  secondsOf(load: StepLoad, model: ServedModel): number
  /** Tokens that a group keeps room for, where it keeps any that it does not need yet. */
  reservedFor?(group: SequenceGroup): number
  /** Requests that are served together from start to end; absent where they come and go each step. */
  batchSize?(model: ServedModel): number
}

const unlimited = 2 ** 30

function schedulerOptions(model: ServedModel, options: Partial<SchedulerOptions>) {
  return {
    blockSize: BLOCK_SIZE,
    numBlocks: model.blocks + 1,
    maxNumBatchedTokens: unlimited,
    maxNumSeqs: unlimited,
    maxSamples: unlimited,
    enableChunkedPrefill: false,
    enablePrefixCaching: false,
    watermark: 0,
    ...options,
  }
}

/** Octavo, with the limits that the paper's vLLM ran with. */
const vllm: ServingSystem = {
  label: 'Octavo',
  makeScheduler: (model, options) =>
    new Scheduler(
      schedulerOptions(model, {
        maxNumBatchedTokens: 2560,
        maxNumSeqs: 256,
        maxSamples: 256,
        watermark: 0.01,
        ...options,
      }),
    ),
  secondsOf: (load, model) => stepSeconds(load, model, pythonHost),
}

/** Orca: iteration-level scheduling over contiguous reservations, for outputs of an estimated length. */
function orca(name: string, estimate: (output: number) => number): ServingSystem {
  const reservedFor = ({ promptLength, params }: SequenceGroup) =>
    Math.min(promptLength + estimate(params.maxTokens!), MODEL_LENGTH)
  return {
    label: `Orca (${name})`,
    makeScheduler(model, options = {}) {
      const all = schedulerOptions(model, options)
      return new Scheduler({ ...all, blocks: new ReservingBlockManager(all, reservedFor) })
    },
    secondsOf: (load, model) => stepSeconds(load, model, pythonHost),
    reservedFor,
  }
}

/** FasterTransformer: as many requests as fit at full length, served together until the last is done. */
const fasterTransformer: ServingSystem = {
  label: 'FasterTransformer',
  // Twice the memory, because finished requests go on beside the longest: only its batch size counts.
  makeScheduler: (model, options) =>
    new Scheduler(schedulerOptions(model, { numBlocks: 2 * model.blocks + 1, ...options })),
  secondsOf: (load, model) => stepSeconds(padded(load), model, nativeHost),
  batchSize: ({ blocks }) => Math.max(1, Math.floor((blocks * BLOCK_SIZE) / MODEL_LENGTH)),
}

export const systems = {
  ft: fasterTransformer,
  'orca-max': orca('Max', () => MODEL_LENGTH),
  'orca-pow2': orca('Pow2', (output) => 2 ** Math.ceil(Math.log2(output))),
  'orca-oracle': orca('Oracle', (output) => output),
  vllm,
} satisfies Readonly<Record<string, ServingSystem>>

export type SystemName = keyof typeof systems
