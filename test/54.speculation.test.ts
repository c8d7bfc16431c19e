import { describe, expect, test } from 'vitest'
import {
  LLMEngine,
  type EngineOptions,
  type OutputDelta,
  type RequestOutput,
  type SamplingOptions,
} from '../lib/index.js'
import { EngineError } from '../lib/errors.js'
import { loadAddon } from '../lib/native/addon.js'
import { EXACT, FIXTURES, modelReference } from './support/models.js'

// Drafts change when a token is drawn, never which: outputs and log-probabilities are bitwise those of
// an engine without them.

const speculativeConfig = { method: 'ngram', promptLookupMin: 1 } as const

const requests: readonly (readonly [string, SamplingOptions])[] = [
  ['Once upon a time there was a cat. '.repeat(5), { temperature: 0 }],
  ['One two three four five. One two three four five. One two', { temperature: 0, maxTokens: 7 }],
  ['Once upon a time there was a dog', { temperature: 0.8, promptLogprobs: 1 }],
  ['Once upon a time there was a fox', { temperature: 0.5, topP: 0.9, minP: 0.01, topK: 30 }],
  ['The cat and the cat and the cat', { temperature: 0, repetitionPenalty: 1.1 }],
  ['The cat and the dog and the cat', { presencePenalty: 0.5, frequencyPenalty: 0.2 }],
  ['The sky is', { temperature: 0, ignoreEos: false, minTokens: 30, stop: ['. The'] }],
  ['The capital of France', { temperature: 0, ignoreEos: false, stopTokenIds: [5, 9, 20] }],
  ['Once upon a time there was', { temperature: 0, badWords: ['cat', 'the'] }],
  [
    'Once upon a time there was a cat. '.repeat(5),
    {
      temperature: 0,
      badWords: ['capital of Egypt is', 'You are a friendly story'],
    },
  ],
  ['Once upon a time', { temperature: 0.1, n: 3 }],
  [
    'Once upon a time there',
    { temperature: 0, stop: ['e'], includeStopStrInOutput: true, minTokens: 9 },
  ],
  ['Once upon a', { temperature: 0, logitBias: { 7: 2 }, allowedTokenIds: [7, 8, 9, 10, 11] }],
  ['A number: ', { structuredOutputs: { regex: '[0-9]{3,9}' }, ignoreEos: false }],
  ['Once', { beamWidth: 3, n: 2 }],
]
const prompts = requests.map(([prompt]) => prompt)
const params = requests.map(([, own], i) => ({
  ...(own.beamWidth === undefined ? { logprobs: 2, seed: i, ignoreEos: true } : {}),
  maxTokens: 70 + ((7 * i) % 23),
  ...own,
}))

const tell = ({ outputs, promptLogprobs }: RequestOutput) => ({ outputs, promptLogprobs })

async function run(options: EngineOptions, speculates: boolean) {
  const engine = await LLMEngine.load('demo', {
    ...{ ...EXACT, maxNumSeqs: 6, ...options },
    ...(speculates && {
      speculativeConfig: { ...speculativeConfig, ...options.speculativeConfig },
    }),
  })
  const told = (await engine.generate(prompts, params)).map(tell)
  engine.checkIntegrity()
  const stats = engine.stats()
  expect(stats.usedBlocks).toBe(0)
  expect(stats.acceptedTokens).toBeLessThan(stats.draftTokens + Number(!speculates))
  if (speculates) expect(stats.acceptedTokens).toBeGreaterThan(20)
  await engine.close()
  return { told, stats }
}

describe('the outputs are those without drafts', () => {
  const plain = run({}, false)

  test.each<[string, EngineOptions]>([
    ['six at a time', {}],
    ['all at once', { maxNumSeqs: 256 }],
    ['one draft', { speculativeConfig: { method: 'ngram', numSpeculativeTokens: 1 } }],
    ['many drafts', { speculativeConfig: { method: 'ngram', numSpeculativeTokens: 20 } }],
    ['three at a time', { maxNumSeqs: 3 }],
    ['8 tokens a step', { maxNumSeqs: 3, maxNumBatchedTokens: 8 }],
    ['blocks of 1', { blockSize: 1 }],
    ['blocks of 4', { blockSize: 4 }],
    ['16 tokens a step', { maxNumBatchedTokens: 16 }],
    ['three threads', { threads: 3 }],
    ['no prefix cache', { enablePrefixCaching: false }],
    ['steps scheduled ahead', { asyncScheduling: true }],
    ['priority', { schedulingPolicy: 'priority' }],
    ['mlfq', { schedulingPolicy: 'mlfq', maxNumSeqs: 4 }],
  ])('%s', async (_, options) => {
    const [found, wanted] = [await run(options, true), await plain]
    expect(found.told).toEqual(wanted.told)
    expect(found.stats.generatedTokens).toBe(wanted.stats.generatedTokens)
  })

  test.each<[string, EngineOptions]>([
    ['recomputed', { preemptionMode: 'recompute' }],
    ['swapped', { preemptionMode: 'swap', swapSpace: 0.01 }],
    ['swapped, in blocks of 4', { preemptionMode: 'swap', swapSpace: 0.01, blockSize: 4 }],
  ])('preempted and %s', async (_, options) => {
    const blocks = Math.ceil((16 * 20) / (options.blockSize ?? 16))
    const { told, stats } = await run({ ...options, numGpuBlocksOverride: blocks }, true)
    expect(stats.preemptions).toBeGreaterThan(0)
    expect(told).toEqual((await plain).told)
  })

  test.each<[string, EngineOptions]>([
    ['a bfloat16 cache', { kvCacheDtype: 'bfloat16' }],
    ['an int8 cache', { kvCacheDtype: 'int8' }],
    ['int8', { quantization: 'int8' }],
    ['int4', { quantization: 'int4' }],
    ['processed log-probabilities', { logprobsMode: 'processed' }],
    ['a pool that ends outputs', { numGpuBlocksOverride: 6 }],
    ['a short context', { maxModelLen: 61 }],
    ...loadAddon().instructionSets.map(
      (isa) => [isa, { isa: isa as 'auto' }] as [string, EngineOptions],
    ),
  ])('with %s', async (_, options) => {
    expect((await run(options, true)).told).toEqual((await run(options, false)).told)
  })
})

test.each(['llama', 'gemma3', 'gpt-oss', 'deepseek-v3', 'bloom', 'phi3-longrope'])(
  'drafts are verified exactly by %s',
  async (name) => {
    const { folder } = modelReference(name)
    const told: unknown[] = []
    for (const speculates of [false, true]) {
      const engine = await LLMEngine.load(folder, {
        ...{ log: false, skipTokenizerInit: true, blockSize: 4 },
        ...(speculates && { speculativeConfig }),
      })
      const cycle = [3, 5, 8, 13, 3, 5, 8, 13, 3, 5]
      const list = [0, 1, 2].map((i) => ({ promptTokenIds: cycle.map((id) => id + i) }))
      const sampling = [0, 0.3, 0.7].map((temperature, seed) => ({ temperature, seed }))
      const outputs = await engine.generate(
        list,
        sampling.map((own) => ({ ...own, maxTokens: 40, ignoreEos: true, logprobs: 1 })),
      )
      told.push(outputs.map(tell))
      engine.checkIntegrity()
      const { draftTokens } = engine.stats()
      if (speculates) expect(draftTokens).toBeGreaterThan(10)
      await engine.close()
    }
    expect(told[1]).toEqual(told[0])
  },
)

test('a model that keeps a state a sequence is refused', async () => {
  const load = LLMEngine.load(`${FIXTURES}/models/lfm2`, { speculativeConfig, log: false })
  await expect(load).rejects.toThrow(EngineError)
  await expect(load).rejects.toMatchObject({
    code: 'not_supported',
    message: expect.stringMatching(
      /^speculativeConfig is not supported with this model: /,
    ) as string,
  })
})

test('a stream gives the tokens of a step in one delta, and all of them once', async () => {
  const engine = await LLMEngine.load('demo', { ...EXACT, speculativeConfig })
  const [prompt] = prompts
  const sampling = { temperature: 0, maxTokens: 200, ignoreEos: true, logprobs: 0 }
  const deltas: OutputDelta[] = []
  for await (const delta of engine.stream(prompt!, sampling)) deltas.push(delta)
  const [
    {
      outputs: [whole],
    },
  ] = (await engine.generate(prompt!, sampling)) as [RequestOutput]
  expect(deltas.map(({ text }) => text).join('')).toBe(whole!.text)
  expect(deltas.flatMap(({ tokenIds }) => tokenIds)).toEqual(whole!.tokenIds)
  expect(deltas.flatMap(({ logprobs }) => logprobs!)).toEqual(whole!.logprobs)
  expect(deltas.length).toBeLessThan(150)
  expect(deltas.some(({ tokenIds }) => tokenIds.length === 5)).toBe(true)
  await engine.close()
})
