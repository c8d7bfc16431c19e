import { lengthSamplers } from '../paper/workload/length-sampler.js'
import { Random } from '../paper/workload/random.js'

/** Longest sequence, as in the paper. */
export const MODEL_LENGTH = 2048
/** Of models/demo; every larger one has these tokens too. */
export const VOCABULARY = 1536

export interface TrafficRequest {
  readonly prompt: { readonly promptTokenIds: readonly number[] }
  readonly output: number
}

/** Requests with a data set's lengths, divided by `scale`, and made-up prompts. */
export function drawTraffic(
  dataset: keyof typeof lengthSamplers,
  count: number,
  scale = 1,
): readonly TrafficRequest[] {
  const random = new Random(7)
  const { input, output } = lengthSamplers[dataset]
  const draw = (sampler: typeof input) => Math.max(1, Math.round(sampler.draw(random) / scale))
  return Array.from({ length: count }, () => {
    let lengths = [draw(input), draw(output)] as const
    while (lengths[0] + lengths[1] > MODEL_LENGTH / scale) lengths = [draw(input), draw(output)]
    const promptTokenIds = Array.from(
      { length: lengths[0] },
      () => 3 + random.below(VOCABULARY - 3),
    )
    return { prompt: { promptTokenIds }, output: lengths[1] }
  })
}
