import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LLMEngine, type EngineOptions, type Prompt, type RequestOutput } from '../lib/index.js'
import { readCheckpoint } from '../lib/weights/checkpoint.js'
import { EXACT, modelReference } from './support/models.js'
import { readTensor } from './support/weights.js'

// The rows that the table has for a prompt's tokens, in place of these: the numbers are bitwise the same.

const OPTIONS = { ...EXACT, skipTokenizerInit: true, maxLogprobs: -1 }
const sampling = { maxTokens: 24, temperature: 0, ignoreEos: true, logprobs: 3 }

const MODELS = [
  ['llama', 'model.embed_tokens'],
  ['gemma2', 'model.embed_tokens'], // whose rows are multiplied
  ['opt-350m', 'model.decoder.embed_tokens'], // whose rows are narrow, with positions added
  ['lfm2', 'model.embed_tokens'],
] as const

type Table = (tokens: readonly number[]) => Float32Array[]

async function tableOf(name: string, module: string): Promise<Table> {
  const { tensors } = await readCheckpoint(modelReference(name).folder)
  const stored = tensors.get(`${module}.weight`)!
  const { file, offset, length, shape } = stored
  const all = readTensor({ name, file, offset, length, shape, type: 'bfloat16' })
  const columns = shape[1]!
  return (tokens) => tokens.map((id) => all.slice(id * columns, (id + 1) * columns))
}

const traceOf = ({ outputs }: RequestOutput) =>
  outputs.map(({ tokenIds, logprobs }) => ({
    tokenIds,
    logprobs: logprobs!.map((row) => [...row].map(([id, { logprob }]) => [id, logprob])),
  }))

describe.each(MODELS)('vectors in place of tokens: %s', (name, module) => {
  const { folder, prompts, greedy } = modelReference(name)
  let rows: Table
  beforeAll(async () => {
    rows = await tableOf(name, module)
  })
  const byRows = (tokens: readonly number[]): Prompt => ({ promptEmbeds: rows(tokens) })
  const mixed = (tokens: readonly number[]): Prompt => ({
    promptEmbeds: rows(tokens.slice(0, 21)),
    promptTokenIds: tokens.slice(21),
  })

  const byTokens = (async () => {
    await using engine = await LLMEngine.load(folder, OPTIONS)
    const all = prompts.map((promptTokenIds) => ({ promptTokenIds }))
    return (await engine.generate(all, sampling)).map(traceOf)
  })()

  it.each<[string, EngineOptions]>([
    ['all at once', {}],
    ['8 tokens a step', { maxNumBatchedTokens: 8, maxNumSeqs: 8 }],
    ['scheduled ahead', { asyncScheduling: true }],
  ])('%s', async (_, options) => {
    await using engine = await LLMEngine.load(folder, { ...OPTIONS, ...options })
    const found = await engine.generate(prompts.map(byRows), sampling)
    expect(found.map(traceOf)).toEqual(await byTokens)
    expect(found[2]!.outputs[0]!.tokenIds).toEqual(greedy[2])
    expect(found[2]!.promptTokenIds).toEqual([])
    const [half] = await engine.generate(mixed(prompts[2]!), sampling)
    expect(traceOf(half!)).toEqual((await byTokens)[2])
    expect(half!.promptTokenIds).toEqual(prompts[2]!.slice(21))
    engine.checkIntegrity()
  })

  it.each<[string, EngineOptions]>([
    ['recomputed', { preemptionMode: 'recompute' }],
    ['swapped', { preemptionMode: 'swap', swapSpace: 0.01 }],
  ])('%s', async (_, options) => {
    const tight = { numGpuBlocksOverride: 12, maxNumBatchedTokens: 32, maxNumSeqs: 8 }
    await using engine = await LLMEngine.load(folder, { ...OPTIONS, ...tight, ...options })
    const all = Array.from({ length: 6 }, (_, i) => (i % 2 ? mixed : byRows)(prompts[2]!))
    for (const output of await engine.generate(all, sampling))
      expect(traceOf(output)).toEqual([(await byTokens)[2]![0]])
    expect(engine.stats().preemptions).toBeGreaterThan(0)
    engine.checkIntegrity()
  })
})

describe('the prefix cache', () => {
  const { folder, prompts } = modelReference('llama')
  const prompt = prompts[2]!
  let rows: Table
  let engine: LLMEngine
  beforeAll(async () => {
    rows = await tableOf('llama', 'model.embed_tokens')
    engine = await LLMEngine.load(folder, OPTIONS)
  })
  afterAll(() => engine.close())

  const run = async (prompt: Prompt) => (await engine.generate(prompt, sampling))[0]!
  const cached = async (prompt: Prompt) => (await run(prompt)).metrics.cachedTokens

  it('holds blocks by the vectors that they were computed from', async () => {
    const first = await run({ promptEmbeds: rows(prompt) })
    const again = await run({ promptEmbeds: rows(prompt) })
    expect(again.metrics.cachedTokens).toBe(32)
    expect(traceOf(again)).toEqual(traceOf(first))
    const other = rows(prompt)
    other[20]![3]! += 0.25
    expect(await cached({ promptEmbeds: other })).toBe(16)
    expect(await cached({ promptEmbeds: rows(prompt), cacheSalt: 'x' })).toBe(0)
    expect(await cached({ promptTokenIds: prompt })).toBe(0)
  })

  it('tells vectors from the tokens behind them', async () => {
    const behind = (tokens: readonly number[]) =>
      cached({ promptEmbeds: rows([9, 8, 7]), promptTokenIds: tokens })
    expect(await behind(prompt)).toBe(0)
    expect(await behind(prompt)).toBe(32)
    expect(await behind([...prompt.slice(0, 20), 3, ...prompt.slice(21)])).toBe(16)
    engine.checkIntegrity()
  })

  it('pins the blocks of a prompt of vectors', async () => {
    const pinned = await engine.cachePrefix({ promptEmbeds: rows(prompt.toReversed()) })
    engine.resetPrefixCache()
    expect(await cached({ promptEmbeds: rows(prompt.toReversed()) })).toBe(32)
    expect(await cached({ promptEmbeds: rows(prompt) })).toBe(0)
    pinned.release()
    engine.checkIntegrity()
  })

  it.each<[string, unknown, string]>([
    ['columns', [new Float32Array(31)], 'expected rows of 64 numbers, as the model'],
    ['row', [new Float32Array(32), new Float32Array(31)], 'promptEmbeds[1]: expected 32 numbers'],
    ['no row', [], 'promptEmbeds: expected at least one row'],
    [
      'infinity',
      [[...Array<number>(31).fill(0), Infinity]],
      'promptEmbeds[0][31]: expected a finite',
    ],
    ['text', 'AAAA', 'promptEmbeds: expected rows of numbers or { data, shape }'],
    ['element', ['AAAA'], 'promptEmbeds[0]: expected a Float32Array or an array'],
    ['data', { data: [1], shape: [1, 1] }, 'promptEmbeds.data: expected a Float32Array'],
    ['shape', { data: new Float32Array(32), shape: [2, 32] }, 'promptEmbeds.data: expected 2 × 32'],
    ['no shape', { data: new Float32Array(32) }, 'promptEmbeds.shape: expected [rows, columns]'],
  ])('refuses a wrong %s', async (_, promptEmbeds, message) => {
    await expect(engine.generate({ promptEmbeds } as Prompt, sampling)).rejects.toThrow(message)
  })

  it('embeds vectors as it does tokens', async () => {
    const [byTokens] = await engine.embed([{ promptTokenIds: prompt }])
    const [byRows] = await engine.embed([{ promptEmbeds: rows(prompt) }])
    expect(byRows!.embedding).toEqual(byTokens!.embedding)
  })

  it('scores no vectors', async () => {
    const scored = { ...sampling, promptLogprobs: 1 }
    await expect(engine.generate({ promptEmbeds: rows(prompt) }, scored)).rejects.toThrow(
      'promptLogprobs: expected none beside promptEmbeds',
    )
  })
})
