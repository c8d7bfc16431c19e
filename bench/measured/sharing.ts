import type { SamplingOptions } from '../../lib/sampling-params.js'
import { loadObserved } from './observed-engine.js'
import type { TrafficRequest } from './traffic.js'

/** What sharing saves: means over all steps of all requests. */
export interface Sharing {
  /** Blocks saved by sharing, as a share of the blocks needed without it. */
  readonly saved: number
  readonly copiesPerStep: number
}

/** Serves requests that draw, or follow, several outputs each, and counts the blocks that they share. */
export async function measureSharing(
  requests: readonly TrafficRequest[],
  params: SamplingOptions,
  { blockSize = 16 } = {},
): Promise<Sharing> {
  let [logical, physical] = [0, 0]
  const engine = await loadObserved({
    blockSize,
    enablePrefixCaching: false,
    skipTokenizerInit: true,
    onStep: (_, { blocks }) => {
      physical += blocks.pool.used
      for (const { blockCounts } of blocks.holders) logical += blockCounts[0]!
    },
  })
  let groupSteps = 0
  for (const [i, { prompt, output }] of requests.entries()) {
    const own = params.beamWidth === undefined ? { seed: i } : {}
    await engine.generate(prompt, { ...params, ...own, maxTokens: output, ignoreEos: true })
    groupSteps += output
  }
  const { copies } = engine.stats()
  await engine.close()
  return { saved: 1 - physical / logical, copiesPerStep: copies / groupSteps }
}
