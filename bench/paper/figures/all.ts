import type { Figure } from '../report/figure.js'
import { basicSampling } from './basic-sampling.js'
import { batchSize } from './batch-size.js'
import { chatbot } from './chatbot.js'
import { chunkedPrefill } from './chunked-prefill.js'
import { fastServe } from './fast-serve.js'
import { memory } from './memory.js'
import { memorySaving } from './memory-saving.js'
import { parallelSampling } from './parallel-sampling.js'
import { preemption } from './preemption.js'
import { sharedPrefix } from './shared-prefix.js'

/** In the order of the page. */
export const figures: readonly Figure[] = [
  memory,
  basicSampling,
  batchSize,
  parallelSampling,
  memorySaving,
  sharedPrefix,
  chatbot,
  preemption,
  chunkedPrefill,
  fastServe,
]
