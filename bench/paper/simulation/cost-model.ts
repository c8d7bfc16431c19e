import type { ServedModel } from './models.js'
import type { StepLoad } from './step-load.js'

/** Seconds that the serving program itself takes for a step. */
export interface HostCost {
  readonly fixed: number
  /** Of each GPU. */
  readonly perGpu: number
  readonly perGroup: number
  readonly perSequence: number
}

/** The authors' Python engine. */
export const pythonHost: HostCost = {
  fixed: 7.5e-3,
  perGpu: 3.1e-3,
  perGroup: 0.15e-3,
  perSequence: 0.04e-3,
}

/** FasterTransformer's C++ engine. */
export const nativeHost: HostCost = {
  fixed: 2e-3,
  perGpu: 0,
  perGroup: 0,
  perSequence: 0.02e-3,
}

const BYTES_PER_WEIGHT = 2
const TOKENS_PER_BLOCK = 16

/** Shares of the machine's peak that kernels reach. Fitted to Figure 12, with the Python host's times. */
const efficiency = { weights: 0.85, matrices: 0.6, attention: 0.85 }

/** An all-reduce's latency in seconds and bandwidth in bytes/s, fitted likewise; two a layer. */
const allReduce = { latency: 45e-6, bandwidth: 165e9, perLayer: 2 }

/** Bytes a second between a GPU and the host's memory. */
const SWAP_BANDWIDTH = 20e9

/** Seconds of a step of this load. */
export function stepSeconds(load: StepLoad, model: ServedModel, host: HostCost): number {
  const { gpu, gpus } = model
  const tokens = load.prefillTokens + load.decodes
  return (
    host.fixed +
    host.perGpu * gpus +
    host.perGroup * load.groups +
    host.perSequence * (load.decodes + load.prefills) +
    (model.parameters * BYTES_PER_WEIGHT) / (gpus * gpu.bandwidth * efficiency.weights) +
    (2 * model.parameters * tokens) / (gpus * gpu.flops * efficiency.matrices) +
    (load.contextTokens * model.kvBytesPerToken) / (gpus * gpu.bandwidth * efficiency.attention) +
    (2 * model.hiddenSize * model.layers * load.prefillPairs) /
      (gpus * gpu.flops * efficiency.matrices) +
    communicationSeconds(tokens, model) +
    swapSeconds(load, model)
  )
}

function communicationSeconds(tokens: number, { gpus, layers, hiddenSize }: ServedModel): number {
  if (gpus === 1) return 0
  const bytes = tokens * hiddenSize * BYTES_PER_WEIGHT
  const transfer = (2 * ((gpus - 1) / gpus) * bytes) / allReduce.bandwidth
  return allReduce.perLayer * layers * (allReduce.latency + transfer)
}

/** The way out is charged with the way back. */
function swapSeconds({ swappedIn }: StepLoad, { gpus, kvBytesPerToken }: ServedModel): number {
  const bytes = (swappedIn * TOKENS_PER_BLOCK * kvBytesPerToken) / gpus
  return (2 * bytes) / SWAP_BANDWIDTH
}

/** FasterTransformer pads every prompt of a batch to the longest. */
export function padded(load: StepLoad): StepLoad {
  const { prefills, longestPrefill } = load
  return {
    ...load,
    prefillTokens: prefills * longestPrefill,
    prefillPairs: prefills * longestPrefill ** 2,
  }
}
