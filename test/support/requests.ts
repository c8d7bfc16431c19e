import fc from 'fast-check'
import type { CacheGroupKind } from '../../lib/scheduling/cache-layout.js'
import { resolveSamplingParams } from '../../lib/engine/check-sampling.js'
import type { SamplingParams } from '../../lib/sampling-params.js'
import type { Judge } from '../../lib/scheduling/scheduler.js'
import { BeamSearch, type BeamSearchOptions } from '../../lib/scheduling/beam-search.js'
import { SequenceGroup } from '../../lib/scheduling/sequence.js'
import type { LoadableAdapter } from '../../lib/weights/loadable-adapter.js'

export const defaultParams: SamplingParams = resolveSamplingParams(
  {},
  { vocabSize: 1, maxLogprobs: 0, maxNumSeqs: 1, hasTokenizer: false, defaultMaxTokens: 16 },
)

/** An adapter that only the fake executor knows (shiftOf). */
export function fakeAdapter(name: string): LoadableAdapter {
  return { name, identity: name, text: '', tensors: [] }
}

interface GroupOptions extends Partial<SamplingParams> {
  readonly cacheKey?: string
  readonly adapter?: LoadableAdapter | null
}

/** A group of one prompt, given as its tokens or as their number (then 1, 2, 3 …). */
export function makeGroup(
  requestId: string,
  prompt: ArrayLike<number> | number,
  params: GroupOptions = {},
): SequenceGroup {
  const { cacheKey, adapter, ...sampling } = params
  const tokens =
    typeof prompt === 'number' ? Array.from({ length: prompt }, (_, i) => i + 1) : prompt
  return new SequenceGroup({
    requestId,
    promptTokenIds: tokens,
    params: { ...defaultParams, ...sampling },
    seedLow: params.seed ?? 0,
    seedHigh: 0,
    maxLength: tokens.length + (params.maxTokens ?? defaultParams.maxTokens ?? Infinity),
    ...(cacheKey === undefined ? {} : { cacheKey }),
    ...(adapter === undefined ? {} : { adapter }),
  })
}

/** A group that searches instead of drawing. */
export function makeBeamGroup(
  requestId: string,
  prompt: readonly number[],
  search: BeamSearchOptions,
  seed = 0,
): SequenceGroup {
  return new SequenceGroup({
    requestId,
    promptTokenIds: prompt,
    params: { ...defaultParams, bestOf: search.width, beamWidth: search.width },
    seedLow: seed,
    seedHigh: 0,
    beams: new BeamSearch(search),
  })
}

/** Ends a sequence at its maxTokens or at one of its stop tokens, as the engine does. */
export const judge: Judge = ({ group: { params }, outputLength }, token) => {
  if (params.stopTokenIds.includes(token)) return { finishReason: 'stop' }
  return outputLength === params.maxTokens ? { finishReason: 'length' } : null
}

/** The tokens that a sequence has drawn. */
export function outputs(group: SequenceGroup): readonly (readonly number[])[] {
  return group.sequences.map(({ tokens, promptLength, length }) => [
    ...tokens.subarray(promptLength, length),
  ])
}

/** So many cache groups that keep every token. */
export function fullGroups(count: number): readonly CacheGroupKind[] {
  return Array.from({ length: count }, () => ({ kind: 'full' }))
}

/** Groups of which the first keeps every token, and others a window or a state. */
export const cacheGroups: fc.Arbitrary<readonly CacheGroupKind[]> = fc
  .array(
    fc.oneof(
      fc.constant<CacheGroupKind>({ kind: 'full' }),
      fc.integer({ min: 1, max: 20 }).map((window): CacheGroupKind => ({ kind: 'window', window })),
      fc.constant<CacheGroupKind>({ kind: 'state' }),
    ),
    { maxLength: 2 },
  )
  .map((others) => [{ kind: 'full' }, ...others])
