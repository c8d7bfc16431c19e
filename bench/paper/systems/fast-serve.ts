import { fcfs, mlfq, type SchedulingPolicy } from '../../../lib/scheduling/policy.js'
import { Scheduler } from '../../../lib/scheduling/scheduler.js'
import { stepSeconds, type HostCost } from '../simulation/cost-model.js'
import type { ServedModel } from '../simulation/models.js'
import { BLOCK_SIZE, type ServingSystem } from './serving-systems.js'

/** FastServe's C++ engine. */
const fastServeHost: HostCost = { fixed: 3e-3, perGpu: 0, perGroup: 0, perSequence: 0.02e-3 }

/** Requests in a step, and tokens of it, as in the authors' artifact. */
const MAX_BATCH = 16
const MAX_TOKENS = 2048

/** Memory is not what this experiment is about: swapping is hidden behind the computation. */
const ENOUGH_BLOCKS = 2 ** 20

function system(label: string, policy: SchedulingPolicy): ServingSystem {
  return {
    label,
    makeScheduler: (_, options) =>
      new Scheduler({
        blockSize: BLOCK_SIZE,
        numBlocks: ENOUGH_BLOCKS,
        hostBlocks: ENOUGH_BLOCKS,
        maxNumBatchedTokens: MAX_TOKENS,
        maxNumSeqs: MAX_BATCH,
        maxSamples: MAX_BATCH,
        enableChunkedPrefill: false,
        enablePrefixCaching: false,
        preemptionMode: 'swap',
        policy,
        ...options,
      }),
    secondsOf: (load, model: ServedModel) =>
      stepSeconds({ ...load, swappedIn: 0 }, model, fastServeHost),
  }
}

export const policies = {
  fcfs: system('first come, first served', fcfs),
  mlfq: system('feedback queues', mlfq()),
}

export type PolicyName = keyof typeof policies
