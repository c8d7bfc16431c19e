import type { Executor } from '../native/executor.js'
import type { MemoryPlan } from './memory.js'

const MOST_BLOCKS = 64
const TRIALS = 4

/**
 * Seconds that copying one block from the device to the host takes, measured before anything is
 * cached; the first trial, which also touches the host's memory for the first time, rarely is the best.
 */
export async function measureBlockCopy(executor: Executor, memory: MemoryPlan): Promise<number> {
  const count = Math.min(MOST_BLOCKS, memory.numBlocks - 1, memory.hostBlocks - 1)
  const copies = Array.from({ length: count }, (_, i) => {
    return { group: 0, fromTier: 0, from: i + 1, toTier: 1, to: i + 1 }
  })
  let best = Infinity
  for (let trial = 0; trial < TRIALS; trial++) {
    const began = performance.now()
    await executor.copy(copies)
    best = Math.min(best, performance.now() - began)
  }
  return best / 1000 / count
}
