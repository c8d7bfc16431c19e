import { describe, expect, it } from 'vitest'
import { LLMEngine, type EngineOptions, type RequestOutput } from '../lib/index.js'
import { EXACT, modelReference } from './support/models.js'

// A model whose layers keep a state of the sequence beside keys and values of its tokens. Bitwise
// equality throughout: a state is the same however it came about.

const { folder, prompts } = modelReference('lfm2')
const requests = Array.from({ length: 9 }, (_, i) => ({
  prompt: { promptTokenIds: [...prompts[2]!.slice(i), ...prompts[1]!.slice(0, i % 5)] },
  params: {
    n: i % 3 === 0 ? 3 : 1,
    maxTokens: 20 + ((7 * i) % 23),
    ...{ temperature: 0.8, seed: i, logprobs: 2, ignoreEos: true },
  },
}))

function traceOf({ outputs }: RequestOutput) {
  return outputs.map(({ tokenIds, logprobs }) => ({
    tokenIds,
    logprobs: logprobs!.map((row) => [...row].map(([id, { logprob }]) => [id, logprob])),
  }))
}

async function run(options: EngineOptions = {}, together = true) {
  await using engine = await LLMEngine.load(folder, {
    ...EXACT,
    skipTokenizerInit: true,
    ...options,
  })
  const found: RequestOutput[] = []
  const all = requests.map(({ prompt }) => prompt)
  const params = requests.map(({ params }) => params)
  if (together) found.push(...(await engine.generate(all, params)))
  else
    for (const [i, prompt] of all.entries())
      found.push(...(await engine.generate(prompt, params[i])))
  engine.checkIntegrity()
  return { traces: found.map(traceOf), found, stats: engine.stats() }
}

/** Room for about two of the nine at full length. */
const TIGHT: EngineOptions = { numGpuBlocksOverride: 20, swapSpace: 0.01 }

describe('sequences with states', () => {
  const alone = run({}, false)

  it.each<[string, EngineOptions]>([
    ['all at once', {}],
    ['8 tokens a step', { maxNumBatchedTokens: 8, maxNumSeqs: 8 }],
    ['blocks of 1', { blockSize: 1 }],
    ['whole prompts only', { enableChunkedPrefill: false, maxNumBatchedTokens: 2048 }],
    ['three threads', { threads: 3 }],
    ['steps scheduled ahead', { asyncScheduling: true }],
  ])('%s', async (_, options) => {
    const { traces, stats } = await run(options)
    expect(stats.preemptions).toBe(0)
    expect(traces).toEqual((await alone).traces)
  })

  it.each<[string, EngineOptions]>([
    ['recomputed', { preemptionMode: 'recompute' }],
    ['swapped', { preemptionMode: 'swap' }],
    ['swapped, 8 tokens a step', { preemptionMode: 'swap', maxNumBatchedTokens: 8, maxNumSeqs: 8 }],
    ['recomputed, scheduled ahead', { preemptionMode: 'recompute', asyncScheduling: true }],
  ])('%s', async (_, options) => {
    const { traces, stats } = await run({ ...TIGHT, ...options })
    expect(stats.preemptions).toBeGreaterThan(0)
    expect(stats.swapOuts > 0).toBe(options.preemptionMode === 'swap')
    expect(traces).toEqual((await alone).traces)
  })

  it('share no state after a fork', async () => {
    const { traces } = await alone
    const [first, second, third] = traces[0]!
    expect(first!.tokenIds).not.toEqual(second!.tokenIds)
    expect(second!.tokenIds).not.toEqual(third!.tokenIds)
  })

  it('find no prefix in the cache', async () => {
    await using engine = await LLMEngine.load(folder, { ...EXACT, skipTokenizerInit: true })
    const prompt = { promptTokenIds: prompts[2]! }
    const greedy = { maxTokens: 4, temperature: 0 }
    const [first] = await engine.generate(prompt, greedy)
    const [again] = await engine.generate(prompt, greedy)
    expect(again!.metrics.cachedTokens).toBe(0)
    expect(again!.outputs[0]!.tokenIds).toEqual(first!.outputs[0]!.tokenIds)
    expect(engine.stats()).toMatchObject({ usedBlocks: 0, cachedBlocks: 0 })
    engine.checkIntegrity()
  })
})
