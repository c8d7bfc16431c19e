import { afterAll, describe, expect, test } from 'vitest'
import {
  LLMEngine,
  type EngineOptions,
  type RequestOutput,
  type SamplingOptions,
} from '../lib/index.js'
import { callOf } from '../lib/structured/tool-call.js'
import { EXACT } from './support/models.js'
import { thinkingModel } from './support/thinking-model.js'

// Sequences that follow a grammar draft too, and each draw has the mask that it has without drafts:
// outputs and log-probabilities are bitwise the same.

const person = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 12 },
    age: { type: 'integer', minimum: 0, maximum: 120 },
    kind: { enum: ['cat', 'dog'] },
  },
  required: ['name', 'age', 'kind'],
}
const json = { type: 'array', items: person, minItems: 2, maxItems: 5 }
const cats =
  '[{"name": "Tom", "age": 3, "kind": "cat"}, {"name": "Tim", "age": 4, "kind": "dog"}]\n'
const parameters = { type: 'object', properties: { cat: person, dog: person } }
const calls = callOf([
  { name: 'feed', parameters },
  { name: 'pet', parameters },
])

/** Drafts of many of these are not allowed, or go on behind an end token. */
const requests: readonly (readonly [kind: string, prompt: string, own: SamplingOptions])[] = [
  ['a schema, greedily', cats, { structuredOutputs: { json }, temperature: 0 }],
  ['a schema', cats, { structuredOutputs: { json }, repetitionPenalty: 1.05, logprobs: 2 }],
  ['compact', 'Some JSON:', { structuredOutputs: { json, disableAnyWhitespace: true } }],
  ['any JSON', cats, { structuredOutputs: { json: true }, temperature: 0, maxTokens: 60 }],
  ['a call of a tool', cats, { structuredOutputs: calls, temperature: 0.5 }],
  [
    'digits',
    '12 cats, 34 dogs, 12 cats and 3',
    { structuredOutputs: { regex: '[0-9]{3,9} cats' } },
  ],
  ['letters', 'ab'.repeat(20), { structuredOutputs: { regex: '(ab)+c' }, maxTokens: 50 }],
  [
    'text behind end tokens',
    'red<|im_end|>red<|im_end|>',
    { structuredOutputs: { regex: '(red)+' }, logitBias: { 0: -100 } },
  ],
  ['a choice', 'A cat sat. ', { structuredOutputs: { choice: ['A cat sat.', 'A cat ran.'] } }],
  ['brackets', '[[x]] [[x]] ', { structuredOutputs: { grammar: 'root ::= "[" root* "]" | "x"' } }],
  [
    'three outputs',
    cats,
    { structuredOutputs: { json }, stop: '"age": 1', n: 3, temperature: 0.8 },
  ],
  ['no grammar', 'The cat. '.repeat(9), { temperature: 0, maxTokens: 60, ignoreEos: true }],
]
const prompts = requests.map(([, prompt]) => prompt)
const params = requests.map(([, , own], i) => ({ logprobs: 0, seed: i, maxTokens: 160, ...own }))

const speculativeConfig = { method: 'ngram', promptLookupMin: 1 } as const
const tell = ({ outputs }: RequestOutput) => outputs

async function run(options: EngineOptions, list: readonly number[] = [...requests.keys()]) {
  const engine = await LLMEngine.load('demo', { ...EXACT, maxNumSeqs: 6, ...options })
  const outputs = await engine.generate(
    list.map((i) => prompts[i]!),
    list.map((i) => params[i]!),
  )
  engine.checkIntegrity()
  const stats = engine.stats()
  expect(stats.usedBlocks).toBe(0)
  await engine.close()
  return { told: outputs.map(tell), stats }
}

describe('the outputs are those without drafts', () => {
  const plain = run({})

  test.each<[string, EngineOptions]>([
    ['six at a time', {}],
    ['all at once', { maxNumSeqs: 256 }],
    ['one draft', { speculativeConfig: { ...speculativeConfig, numSpeculativeTokens: 1 } }],
    ['many drafts', { speculativeConfig: { ...speculativeConfig, numSpeculativeTokens: 20 } }],
    ['three at a time, 8 tokens a step', { maxNumSeqs: 3, maxNumBatchedTokens: 8 }],
    ['blocks of 4, no prefix cache', { blockSize: 4, enablePrefixCaching: false }],
    ['steps scheduled ahead', { asyncScheduling: true }],
    ['mlfq', { schedulingPolicy: 'mlfq', maxNumSeqs: 4 }],
    ['preempted and recomputed', { preemptionMode: 'recompute', numGpuBlocksOverride: 24 }],
    [
      'preempted and swapped',
      { preemptionMode: 'swap', swapSpace: 0.01, numGpuBlocksOverride: 24 },
    ],
  ])('%s', async (name, options) => {
    const { told, stats } = await run({ speculativeConfig, ...options })
    expect(told).toEqual((await plain).told)
    expect(stats.acceptedTokens).toBeGreaterThan(50)
    if (name.startsWith('preempted')) expect(stats.preemptions).toBeGreaterThan(0)
  })

  test.each(requests.map(([kind], i) => [kind, i] as const))('alone: %s', async (_, i) => {
    const { told, stats } = await run({ speculativeConfig }, [i])
    expect(told[0]).toEqual((await plain).told[i])
    expect(stats.draftTokens).toBeGreaterThan(0)
  })

  test.each<[string, EngineOptions]>([
    ['int8', { quantization: 'int8' }],
    ['processed log-probabilities', { logprobsMode: 'processed' }],
    ['a pool that ends outputs', { numGpuBlocksOverride: 8 }],
    ['a short context', { maxModelLen: 101 }],
  ])('with %s', async (_, options) => {
    expect((await run({ ...options, speculativeConfig })).told).toEqual((await run(options)).told)
  })
})

describe('thoughts before a grammar', () => {
  const model = thinkingModel()
  afterAll(() => model.remove())

  test('are drafted too, and so is what follows them', async () => {
    const chats = Array.from({ length: 4 }, (_, i) => [
      { role: 'user', content: `Who is ${i}? Who is not ${i}? Who is ${i}?` },
    ])
    const told: unknown[] = []
    for (const speculates of [false, true]) {
      const engine = await LLMEngine.load(model.folder, {
        ...{ ...EXACT, maxModelLen: 512, ...(speculates && { speculativeConfig }) },
      })
      const sampling = { structuredOutputs: { json }, seed: 3, temperature: 0.7, maxTokens: 300 }
      const replies = await Promise.all(chats.map((chat) => engine.chat(chat, sampling)))
      told.push(replies.map(tell))
      expect(replies.some(({ outputs: [output] }) => output!.text.startsWith('['))).toBe(true)
      if (speculates) expect(engine.stats().acceptedTokens).toBeGreaterThan(50)
      await engine.close()
    }
    expect(told[1]).toEqual(told[0])
  })
})

test('a request whose options leave no token fails as it does without drafts, alone', async () => {
  const engine = await LLMEngine.load('demo', { ...EXACT, speculativeConfig })
  const structuredOutputs = { regex: '(ab){3,9}!' }
  const letters = 'ab'.repeat(20)
  const allowedTokenIds = [...(await engine.text.tokenize(letters))]
  const bad = engine.generate(letters, { structuredOutputs, allowedTokenIds, maxTokens: 40 })
  const good = engine.generate(cats, { structuredOutputs: { json }, seed: 1, maxTokens: 200 })
  await expect(bad).rejects.toThrow(/no token may follow/)
  expect((await good)[0]!.outputs[0]!.finishReason).toBe('stop')
  await engine.close()
})
