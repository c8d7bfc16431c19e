import { describe, expect, test } from 'vitest'
import { LLMEngine, type EngineOptions, type RequestOutput } from '../lib/index.js'
import { EXACT, greedyCases } from './support/models.js'

// Bitwise equality throughout: a sequence's numbers do not depend on its company, on how its prompt
// is cut, on the block size, the threads, or on being preempted and computed again.

const cases = greedyCases('demo.json')
const prompts = [
  ...cases.map(({ prompt }) => prompt),
  cases.map(({ prompt }) => prompt).join(' '),
  'Once upon a time there was a cat. '.repeat(12),
]
const params = prompts.map((_, i) => ({
  maxTokens: 20 + ((7 * i) % 23),
  logprobs: 2,
  ignoreEos: true,
  ...(i % 3 === 0 ? { temperature: 0.8, seed: i } : { temperature: 0 }),
}))

interface Trace {
  readonly tokenIds: readonly number[]
  readonly logprobs: readonly (readonly (readonly [number, number])[])[]
}

function traceOf({ outputs: [output] }: RequestOutput): Trace {
  const logprobs = output!.logprobs!.map((row) =>
    [...row].map(([id, { logprob }]) => [id, logprob] as const),
  )
  return { tokenIds: output!.tokenIds, logprobs }
}

async function run(options: EngineOptions, together = true) {
  const engine = await LLMEngine.load('demo', { ...EXACT, enablePrefixCaching: false, ...options })
  const traces: Trace[] = []
  if (together) traces.push(...(await engine.generate(prompts, params)).map(traceOf))
  else {
    for (const [i, prompt] of prompts.entries()) {
      traces.push(...(await engine.generate(prompt, params[i])).map(traceOf))
    }
  }
  engine.checkIntegrity()
  const stats = engine.stats()
  await engine.close()
  return { traces, stats }
}

describe.each(['float32', 'bfloat16', 'float16', 'int8'] as const)(
  'with a %s cache',
  (kvCacheDtype) => {
    const alone = run({ kvCacheDtype }, false)

    test.each<[string, EngineOptions]>([
      ['all at once', {}],
      ['blocks of 1', { blockSize: 1 }],
      ['blocks of 8', { blockSize: 8 }],
      ['blocks of 32', { blockSize: 32 }],
      ['16 tokens a step', { maxNumBatchedTokens: 16 }],
      ['64 tokens a step', { maxNumBatchedTokens: 64 }],
      ['whole prompts only', { enableChunkedPrefill: false, maxNumBatchedTokens: 2048 }],
      ['three at a time', { maxNumSeqs: 3 }],
      ['one thread', { threads: 1 }],
      ['three threads', { threads: 3 }],
      ['the prefix cache on', { enablePrefixCaching: true }],
      ['steps scheduled ahead', { asyncScheduling: true }],
      ['steps scheduled ahead, 16 tokens each', { asyncScheduling: true, maxNumBatchedTokens: 16 }],
    ])('%s', async (_, options) => {
      const { traces } = await run({ kvCacheDtype, ...options })
      expect(traces).toEqual((await alone).traces)
    })

    test.each([false, true])('preempted, ahead: %s', async (asyncScheduling) => {
      const { traces, stats } = await run({
        kvCacheDtype,
        numGpuBlocksOverride: 14,
        asyncScheduling,
      })
      expect(stats.preemptions).toBeGreaterThan(0)
      expect(traces).toEqual((await alone).traces)
    })
  },
)

describe('greedy tokens', () => {
  const greedy = { maxTokens: 30, temperature: 0, ignoreEos: true }
  const tokensOf = ({ outputs }: RequestOutput) => outputs.map(({ tokenIds }) => tokenIds)

  async function alone() {
    const engine = await LLMEngine.load('demo', { ...EXACT, enablePrefixCaching: false })
    const found: RequestOutput[] = []
    for (const prompt of prompts) found.push(...(await engine.generate(prompt, greedy)))
    await engine.close()
    return found.map(tokensOf)
  }

  test.each([16, 8])('of forked sequences are those of one, in blocks of %i', async (blockSize) => {
    const engine = await LLMEngine.load('demo', { ...EXACT, blockSize })
    const forked = { ...greedy, n: 3, temperature: 1, topK: 1 }
    const found = (await engine.generate(prompts, forked)).map(tokensOf)
    expect(found).toEqual((await alone()).map(([tokens]) => [tokens, tokens, tokens]))
    expect(engine.stats().copies).toBeGreaterThan(0)
    engine.checkIntegrity()
    await engine.close()
  })

  test('of prompts found in the cache are those of computed ones', async () => {
    const engine = await LLMEngine.load('demo', EXACT)
    for (let turn = 0; turn < 2; turn++) {
      const found = await engine.generate(prompts, greedy)
      expect(found.map(tokensOf)).toEqual(await alone())
      if (turn === 0) continue
      const long = found.filter(({ promptTokenIds }) => promptTokenIds.length > 16)
      expect(long.every(({ metrics }) => metrics.cachedTokens > 0)).toBe(true)
    }
    engine.checkIntegrity()
    await engine.close()
  })
})
