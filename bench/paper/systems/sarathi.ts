import { Scheduler, type SchedulerOptions } from '../../../lib/scheduling/scheduler.js'
import type { ServedModel } from '../simulation/models.js'
import type { StepLoad } from '../simulation/step-load.js'
import { BLOCK_SIZE, type ServingSystem } from './serving-systems.js'

/** LLaMA-13B on one A6000, the first machine of the SARATHI paper. */
export const llamaOnA6000: ServedModel = {
  name: 'LLaMA-13B',
  parameters: 13e9,
  kvBytesPerToken: 819_200,
  layers: 40,
  hiddenSize: 5120,
  gpu: { bandwidth: 768e9, flops: 154.8e12 },
  gpus: 1,
  blocks: 1700,
}

const BYTES_PER_WEIGHT = 2

/** Tokens that a matrix kernel computes at once: one more than a multiple costs as many again. */
const TILE = 128

/** Fitted to the paper's Table 2. */
const fitted = { host: 8e-3, weights: 0.9, matrices: 0.771, attention: 0.85 }

/** Seconds of a step: reading the weights hides behind the matrices' arithmetic, or the other way round. */
export function a6000Seconds(load: StepLoad, model: ServedModel): number {
  const { parameters, kvBytesPerToken, hiddenSize, layers, gpu } = model
  const tiles = Math.ceil((load.prefillTokens + load.decodes) / TILE)
  const arithmetic = (2 * parameters * tiles * TILE) / (gpu.flops * fitted.matrices)
  const weights = (parameters * BYTES_PER_WEIGHT) / (gpu.bandwidth * fitted.weights)
  const reading = (load.contextTokens * kvBytesPerToken) / (gpu.bandwidth * fitted.attention)
  const pairs = (2 * hiddenSize * layers * load.prefillPairs) / (gpu.flops * fitted.matrices)
  return fitted.host + Math.max(weights, arithmetic) + reading + pairs
}

/** Requests at once, and tokens of a chunk with the decodes beside it. */
export const BATCH = 6
export const CHUNK = 256

function system(
  label: string,
  always: Partial<SchedulerOptions>,
  batchSize?: number,
): ServingSystem {
  return {
    label,
    makeScheduler: ({ blocks }, options) =>
      new Scheduler({
        blockSize: BLOCK_SIZE,
        numBlocks: blocks,
        maxNumBatchedTokens: 2 ** 30,
        maxNumSeqs: BATCH,
        maxSamples: BATCH,
        enablePrefixCaching: false,
        ...always,
        ...options,
      }),
    secondsOf: a6000Seconds,
    ...(batchSize !== undefined && { batchSize: () => batchSize }),
  }
}

/** What a step may mix, from whole batches to SARATHI's chunks. */
export const batchings = {
  requests: system('whole requests', { enableChunkedPrefill: false }, BATCH),
  prompts: system('whole prompts beside decodes', { enableChunkedPrefill: false }),
  chunks: system('chunks beside decodes', { maxNumBatchedTokens: CHUNK }),
}

export type Batching = keyof typeof batchings
