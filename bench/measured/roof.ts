import { Random } from '../paper/workload/random.js'
import { loadObserved } from './observed-engine.js'
import { fastestTenth } from './report.js'
import { VOCABULARY } from './traffic.js'

const STEPS = 60

export interface RoofOptions {
  readonly model: string
  /** Sequences in a step. */
  readonly batches: readonly number[]
  /** Tokens that each of them attends to, in the middle of the measurement. */
  readonly context: number
  readonly modelLength: number
  readonly rounds: number
}

/**
 * What decoding alone reaches at each batch size, in tokens a second, with memory for all: nothing is
 * admitted, preempted or prefilled meanwhile. The batch sizes take turns; of their steps the time counts
 * that a tenth stays below, so that what else the machine does has no part in it.
 */
export async function measureRoof(options: RoofOptions): Promise<number[]> {
  const { model, batches, context, modelLength, rounds } = options
  const random = new Random(5)
  const steps: { batch: number; began: number }[] = []
  const engine = await loadObserved({
    ...{ model, maxModelLen: modelLength, maxNumSeqs: Math.max(...batches) },
    ...{ enablePrefixCaching: false, skipTokenizerInit: true },
    onStep: ({ tokenCount, sampleCount }) => {
      const batch = tokenCount === sampleCount ? sampleCount : 0 // 0: a prompt is among them
      steps.push({ batch, began: performance.now() })
    },
  })
  const times = batches.map((): number[] => [])
  for (let round = 0; round < rounds; round++) {
    for (const [i, batch] of batches.entries()) {
      steps.length = 0
      const prompts = Array.from({ length: batch }, () => promptOf(context - STEPS / 2, random))
      await engine.generate(prompts, { maxTokens: STEPS, temperature: 0, ignoreEos: true })
      for (let at = 0; at + 1 < steps.length; at++) {
        if (steps[at]!.batch === batch) times[i]!.push(steps[at + 1]!.began - steps[at]!.began)
      }
    }
  }
  await engine.close()
  return batches.map((batch, i) => (1000 * batch) / fastestTenth(times[i]!))
}

function promptOf(length: number, random: Random) {
  const promptTokenIds = Array.from({ length }, () => 3 + random.below(VOCABULARY - 3))
  return { promptTokenIds }
}
