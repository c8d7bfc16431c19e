import { describe, expect, it } from 'vitest'
import { LLMEngine, type EngineOptions, type RequestOutput } from '../lib/index.js'
import { EXACT, modelReference } from './support/models.js'

// Sequences of up to 32 tokens turn by the short factors, longer ones by the long factors, all their
// tokens. Test 50 compares both with the reference; here an output grows from one into the other.

const { folder, prompts } = modelReference('phi3-longrope')
const ORIGINAL = 32
const prompt = prompts.at(-1)!.slice(0, 20)
const NEW_TOKENS = 24
const greedy = { maxTokens: NEW_TOKENS, temperature: 0, ignoreEos: true, logprobs: 2 }

const load = (options: EngineOptions = {}) =>
  LLMEngine.load(folder, { ...EXACT, skipTokenizerInit: true, ...options })

function rowsOf({ outputs }: RequestOutput) {
  return outputs.map(({ tokenIds, logprobs }) => ({
    tokenIds,
    logprobs: logprobs!.map((row) => [...row].map(([id, { logprob }]) => [id, logprob])),
  }))
}

/** Token by token, each from a prompt of all before it: nothing of a shorter sequence is used again. */
async function tokenByToken() {
  await using engine = await load({ enablePrefixCaching: false })
  const promptTokenIds = [...prompt]
  const logprobs = []
  for (let i = 0; i < NEW_TOKENS; i++) {
    const [output] = await engine.generate({ promptTokenIds }, { ...greedy, maxTokens: 1 })
    const [row] = rowsOf(output!)
    promptTokenIds.push(row!.tokenIds[0]!)
    logprobs.push(row!.logprobs[0]!)
  }
  return [{ tokenIds: promptTokenIds.slice(prompt.length), logprobs }]
}

describe('an output that grows past the original length', () => {
  const expected = tokenByToken()

  it.each<[string, EngineOptions]>([
    ['alone', {}],
    ['8 tokens a step', { maxNumBatchedTokens: 8, maxNumSeqs: 8 }],
    ['scheduled ahead', { asyncScheduling: true }],
    [
      'scheduled ahead, 8 tokens a step',
      { asyncScheduling: true, maxNumBatchedTokens: 8, maxNumSeqs: 8 },
    ],
    ['without a prefix cache', { enablePrefixCaching: false }],
    ['in a pool that just holds it', { numGpuBlocksOverride: 3 }],
  ])('%s', async (_, options) => {
    await using engine = await load(options)
    for (let turn = 0; turn < 2; turn++) {
      const [output] = await engine.generate({ promptTokenIds: prompt }, greedy)
      expect(rowsOf(output!)).toEqual(await expected)
      engine.checkIntegrity()
    }
  })

  it.each<[string, EngineOptions]>([
    ['recomputed', { preemptionMode: 'recompute' }],
    ['swapped', { preemptionMode: 'swap', swapSpace: 0.01 }],
    [
      'swapped, scheduled ahead',
      { preemptionMode: 'swap', swapSpace: 0.01, asyncScheduling: true },
    ],
  ])('among others that are %s', async (_, options) => {
    await using engine = await load({ numGpuBlocksOverride: 7, ...options })
    const all = Array.from({ length: 5 }, () => ({ promptTokenIds: prompt }))
    const outputs = await engine.generate(all, greedy)
    for (const output of outputs) expect(rowsOf(output)).toEqual(await expected)
    expect(engine.stats().preemptions).toBeGreaterThan(0)
    engine.checkIntegrity()
  })

  it('with others of its request', async () => {
    await using engine = await load()
    const forked = { ...greedy, n: 3, temperature: 1, topK: 1 }
    const [output] = await engine.generate({ promptTokenIds: prompt }, forked)
    const [one] = await expected
    expect(rowsOf(output!)).toEqual([one, one, one])
    engine.checkIntegrity()
  })

  it('finds no blocks of shorter sequences in the cache', async () => {
    await using engine = await load()
    const long = [...prompt, ...(await expected)[0]!.tokenIds]
    await engine.generate({ promptTokenIds: prompt }, { ...greedy, maxTokens: 4 })
    const [output] = await engine.generate({ promptTokenIds: long }, { ...greedy, maxTokens: 1 })
    expect(long.length).toBeGreaterThan(ORIGINAL)
    expect(output!.metrics.cachedTokens).toBe(0)
  })
})
