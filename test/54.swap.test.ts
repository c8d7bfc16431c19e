import { describe, expect, test } from 'vitest'
import { LLMEngine, type EngineOptions, type RequestOutput } from '../lib/index.js'
import { EXACT } from './support/models.js'

// A preempted sequence gets its cache back from the host or by computing it again, and cannot tell:
// tokens and log-probabilities are bitwise those of a run without preemption.

const prompts = Array.from({ length: 10 }, (_, i) => `Once upon a time there were ${i} cats. `)
const params = prompts.map((_, i) => ({
  n: i % 4 === 0 ? 3 : 1,
  maxTokens: 24 + ((11 * i) % 30),
  temperature: 0.8,
  seed: i,
  logprobs: 2,
  ignoreEos: true,
}))

/** 16 tokens of 5 layers' keys and values in float32: 2 heads of 32. */
const BLOCK_BYTES = 16 * 5 * 2 * 64 * 4

/** Room for about three of the ten at full length. */
const TIGHT: EngineOptions = { numGpuBlocksOverride: 26, swapSpace: 0.01 }

function traceOf({ outputs }: RequestOutput) {
  return outputs.map(({ tokenIds, logprobs }) => ({
    tokenIds,
    logprobs: logprobs!.map((row) => [...row].map(([id, { logprob }]) => [id, logprob])),
  }))
}

async function run(options: EngineOptions) {
  const engine = await LLMEngine.load('demo', { ...EXACT, enablePrefixCaching: false, ...options })
  const traces = (await engine.generate(prompts, params)).map(traceOf)
  engine.checkIntegrity()
  const stats = engine.stats()
  await engine.close()
  return { traces, stats }
}

describe('the same tokens and log-probabilities as without preemption', () => {
  const undisturbed = run({})

  test('nothing is preempted where there is room', async () => {
    expect((await undisturbed).stats.preemptions).toBe(0)
  })

  test.each<[string, EngineOptions]>([
    ['swapped', {}],
    ['swapped, in steps of 16 tokens', { maxNumBatchedTokens: 16 }],
    ['swapped, in blocks of 4', { blockSize: 4, numGpuBlocksOverride: 104 }],
    ['swapped, found again in the prefix cache', { enablePrefixCaching: true }],
    ['swapped, under mlfq', { schedulingPolicy: 'mlfq', maxNumSeqs: 6 }],
    ['swapped, under priority', { schedulingPolicy: 'priority' }],
  ])('%s', async (_, options) => {
    const { traces, stats } = await run({ ...TIGHT, preemptionMode: 'swap', ...options })
    expect(stats.swapOuts).toBeGreaterThan(0)
    expect(stats.swapIns).toBe(stats.swapOuts)
    expect(stats).toMatchObject({ swapped: 0, usedBlocks: 0, usedHostBlocks: 0 })
    expect(traces).toEqual((await undisturbed).traces)
  })

  test('recomputed', async () => {
    const { traces, stats } = await run({ ...TIGHT, preemptionMode: 'recompute' })
    expect(stats.preemptions).toBeGreaterThan(0)
    expect(stats.swapOuts).toBe(0)
    expect(traces).toEqual((await undisturbed).traces)
  })

  test('as the cost model says', async () => {
    const { traces, stats } = await run({ ...TIGHT, preemptionMode: 'auto' })
    expect(stats.preemptions).toBeGreaterThan(0)
    expect(traces).toEqual((await undisturbed).traces)
  })

  test('a group that shares its prompt is copied once', async () => {
    const engine = await LLMEngine.load('demo', {
      ...EXACT,
      ...TIGHT,
      preemptionMode: 'swap',
      enablePrefixCaching: false,
    })
    const promptTokenIds = Array.from({ length: 160 }, (_, i) => 300 + i)
    const long = { maxTokens: 200, ignoreEos: true, seed: 1 }
    engine.addRequest('first', { promptTokenIds: promptTokenIds.slice(0, 100) }, long)
    engine.addRequest('forked', { promptTokenIds }, { ...long, n: 3 })
    while (engine.stats().swapped === 0) await engine.step()
    engine.checkIntegrity()
    // 10 blocks of the prompt, and of each output a few.
    const { usedHostBlocks } = engine.stats()
    expect(usedHostBlocks).toBeGreaterThanOrEqual(13)
    expect(usedHostBlocks).toBeLessThanOrEqual(16)
    engine.abort('forked')
    expect(engine.stats()).toMatchObject({ swapped: 0, usedHostBlocks: 0 })
    await engine.close()
  })

  test('a host that is full leaves the rest to be recomputed', async () => {
    const swapSpace = (12 * BLOCK_BYTES) / 2 ** 30
    const { traces, stats } = await run({ ...TIGHT, swapSpace, preemptionMode: 'swap' })
    expect(stats.totalHostBlocks).toBe(12)
    expect(stats.swapOuts).toBeGreaterThan(0)
    expect(stats.preemptions).toBeGreaterThan(stats.swapOuts)
    expect(traces).toEqual((await undisturbed).traces)
  })
})

/** Runs requests of these parameters, one sequence at a time; the ids in the order of their ends. */
async function orderOfEnds(
  schedulingPolicy: 'fcfs' | 'priority' | 'mlfq',
  requests: Readonly<Record<string, { readonly maxTokens: number; readonly priority?: number }>>,
): Promise<string[]> {
  const engine = await LLMEngine.load('demo', { ...EXACT, schedulingPolicy, maxNumSeqs: 1 })
  for (const [id, sampling] of Object.entries(requests)) {
    engine.addRequest(id, `This is the story of ${id}.`, { ignoreEos: true, ...sampling })
    await engine.step()
  }
  const ended: string[] = []
  for (let moved; (moved = await engine.step()).length > 0;) {
    ended.push(...moved.filter(({ finished }) => finished).map(({ requestId }) => requestId))
  }
  await engine.close()
  return ended
}

describe('policies', () => {
  test('fcfs serves in the order of arrival', async () => {
    const requests = { long: { maxTokens: 100 }, short: { maxTokens: 4 }, late: { maxTokens: 8 } }
    expect(await orderOfEnds('fcfs', requests)).toEqual(['long', 'short', 'late'])
  })

  test('priority serves the lowest number first, though others run', async () => {
    const requests = {
      c: { maxTokens: 30, priority: 3 },
      a: { maxTokens: 30, priority: -1 },
      b: { maxTokens: 30, priority: 2 },
      d: { maxTokens: 30, priority: 3 },
    }
    expect(await orderOfEnds('priority', requests)).toEqual(['a', 'b', 'c', 'd'])
  })

  test('mlfq serves short requests before a long one that has had its share', async () => {
    const requests = { long: { maxTokens: 150 }, short: { maxTokens: 4 }, late: { maxTokens: 8 } }
    expect(await orderOfEnds('mlfq', requests)).toEqual(['short', 'late', 'long'])
  })
})
