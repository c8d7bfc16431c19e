import { emulatorTest, onGpu, whyNotEmulated } from '../support/emulated.js'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LLMEngine, type RequestOutput } from '../../lib/index.js'
import { succeed } from '../support/commands.js'
import { EXACT, FIXTURES, modelReference } from '../support/models.js'
import { expectNearTies, referenceOutputs } from '../support/near-ties.js'
import { normalNumbers } from '../support/run-plan.js'
import { expectCase, expectTruncation, fixture, sample, type Row } from '../support/sample-rows.js'

const CUDA = { device: 'cuda' } as const

describe.skipIf(whyNotEmulated || onGpu)('the emulator', () => {
  it('catches broken barriers, races, accesses out of bounds and wrong fragment layouts', () => {
    expect(succeed(emulatorTest, [])).toContain('the emulator catches what is broken')
  })
})

const NAMES = readdirSync(join(FIXTURES, 'models')).filter((name) => /^llama(-|$)/.test(name))

describe.skipIf(whyNotEmulated).each(NAMES)('%s on the emulated GPU', (name) => {
  const reference = modelReference(name)
  const prompts = reference.prompts.map((promptTokenIds) => ({ promptTokenIds }))
  const params = { maxTokens: 12, temperature: 0, logprobs: 5, ignoreEos: true }

  async function generate(options: Parameters<typeof LLMEngine.load>[1]): Promise<RequestOutput[]> {
    const engine = await LLMEngine.load(reference.folder, {
      ...EXACT,
      ...CUDA,
      skipTokenizerInit: true,
      maxNumSeqs: 8,
      maxNumBatchedTokens: 64,
      numGpuBlocksOverride: 64,
      ...options,
    })
    try {
      const outputs = await engine.generate(prompts, params)
      engine.checkIntegrity()
      return outputs
    } finally {
      await engine.close()
    }
  }

  it('gives the reference tokens in float32', async () => {
    const outputs = await generate({ dtype: 'float32' })
    outputs.forEach(({ outputs: [completion] }, i) => {
      expect(completion!.tokenIds).toEqual(reference.greedy[i]!.slice(0, 12))
    })
  })

  it('gives them too where steps are submitted ahead', async () => {
    const outputs = await generate({ dtype: 'float32', asyncScheduling: true })
    outputs.forEach(({ outputs: [completion] }, i) => {
      expect(completion!.tokenIds).toEqual(reference.greedy[i]!.slice(0, 12))
    })
  })

  it('gives them too where each op is waited for', async () => {
    process.env.OCTAVO_CUDA_CHECK = '1'
    try {
      const outputs = await generate({ dtype: 'float32' })
      outputs.forEach(({ outputs: [completion] }, i) => {
        expect(completion!.tokenIds).toEqual(reference.greedy[i]!.slice(0, 12))
      })
    } finally {
      delete process.env.OCTAVO_CUDA_CHECK
    }
  })

  it.each([
    { dtype: 'bfloat16', kvCacheDtype: 'bfloat16' },
    { dtype: 'float16', kvCacheDtype: 'float16' },
    { dtype: 'float32', kvCacheDtype: 'int8' },
  ] as const)('goes with the reference until two tokens are as good: %o', async (types) => {
    expectNearTies(await generate(types), await referenceOutputs(name, params.maxTokens))
  })
})

// Windows' own cache groups, norms over all of q and k, xielu.
const OTHERS = [...['apertus', 'gemma3', 'mistral-window', 'olmo2', 'olmo3']]

describe.skipIf(whyNotEmulated).each(OTHERS)('%s on the emulated GPU', (name) => {
  it('gives the reference tokens in float32', async () => {
    const { folder, prompts, greedy } = modelReference(name)
    const options = { ...EXACT, ...CUDA, dtype: 'float32', skipTokenizerInit: true } as const
    const sizes = { maxNumSeqs: 8, maxNumBatchedTokens: 64, numGpuBlocksOverride: 96 }
    const engine = await LLMEngine.load(folder, { ...options, ...sizes })
    const outputs = await engine.generate(
      prompts.map((promptTokenIds) => ({ promptTokenIds })),
      { maxTokens: 12, temperature: 0, ignoreEos: true },
    )
    engine.checkIntegrity()
    await engine.close()
    outputs.forEach(({ outputs: [completion] }, i) =>
      expect(completion!.tokenIds).toEqual(greedy[i]!.slice(0, 12)),
    )
  })
})

describe.skipIf(whyNotEmulated)('structured outputs on the emulated GPU', () => {
  it('follow their grammar beside other requests', async () => {
    const sizes = { maxModelLen: 128, maxNumBatchedTokens: 64, numGpuBlocksOverride: 32 }
    const engine = await LLMEngine.load('demo', { ...CUDA, log: false, ...sizes })
    const regex = '(yes|no), [0-9]{3}\\.'
    const params = { maxTokens: 24, temperature: 1, seed: 5 }
    const outputs = await engine.generate(
      ['Answer: ', 'Once'],
      [{ ...params, structuredOutputs: { regex } }, params],
    )
    expect(outputs[0]!.outputs[0]!.text).toMatch(/^(yes|no), [0-9]{3}\.$/)
    engine.checkIntegrity()
    await engine.close()
  })
})

/** Expects the tokens, ranks and most likely tokens of the CPU. */
function expectSameDraws(rows: readonly Row[]) {
  const [found, wanted] = [sample(rows, CUDA), sample(rows)]
  expect(found.tokenIds).toEqual(wanted.tokenIds)
  expect(found.ranks).toEqual(wanted.ranks)
  expect(found.topIds).toEqual(wanted.topIds)
  return { found, wanted }
}

describe.skipIf(whyNotEmulated)('sampling on the emulated GPU', () => {
  it.each(fixture.cases)('gives the probabilities of "$name"', (given) => {
    expectCase(given, CUDA)
  })

  const vocabSize = 1031
  const smooth = normalNumbers(vocabSize, { deviation: 3, seed: 3 })
  const tied = smooth.map((x) => Math.round(x * 4) / 4)
  const settings = [
    { topK: 1 },
    { topK: 40 },
    { topP: 0.37 },
    { topP: 0.99999 },
    { minP: 0.02 },
    { temperature: 2.5, topK: 100, topP: 0.6, minP: 0.001 },
  ]

  it.each(settings)('keeps what sorting keeps: %o', (params) => {
    expectTruncation([smooth, tied], params, CUDA)
  })

  it('draws and reports what the CPU does from the same seeds', () => {
    const rows: Row[] = Array.from({ length: 60 }, (_, counter) => ({
      logits: counter % 4 === 0 ? tied : smooth,
      ints: { counter, stream: counter % 3, topK: counter % 2 ? 30 : 0, logprobs: counter % 5 },
      floats: {
        temperature: counter % 7 === 0 ? 0 : 0.9,
        topP: counter % 3 ? 0.9 : 1,
        presencePenalty: 0.5,
      },
      penalties: [
        [counter, 2, 0],
        [counter + 1, 0, 1],
      ],
      bias: { [counter * 3]: 1.5 },
      ...(counter % 6 === 0 && { allowed: Array.from({ length: 200 }, (_, i) => i * 5) }),
    }))
    const { found, wanted } = expectSameDraws(rows)
    found.logprobs.forEach((x, i) => {
      if (!Number.isNaN(wanted.logprobs[i])) expect(x).toBeCloseTo(wanted.logprobs[i]!, 4)
    })
  })

  it.each([NaN, -Infinity, Infinity])('draws as the CPU where all logits are %d', (value) => {
    const logits = new Array<number>(40).fill(value)
    expectSameDraws([{ logits, ints: { logprobs: 40, topK: 3 }, floats: { topP: 0.5 } }])
  })

  it('draws as the CPU where some logits are no numbers', () => {
    const values = [NaN, Infinity, -Infinity]
    expectSameDraws(
      values.map((value) => ({
        logits: smooth.map((x, id) => (id % 3 === 0 ? value : x)),
        ints: { logprobs: 40, topK: 30 },
        floats: { topP: 0.9 },
      })),
    )
  })
})

describe.skipIf(whyNotEmulated)('an engine on the emulated GPU', () => {
  let engine: LLMEngine
  beforeAll(async () => {
    const options = { ...CUDA, log: false, numGpuBlocksOverride: 9, swapSpace: 0.01 } as const
    engine = await LLMEngine.load(modelReference('llama').folder, {
      ...options,
      skipTokenizerInit: true,
      maxNumSeqs: 4,
      maxNumBatchedTokens: 32,
      preemptionMode: 'swap',
      dtype: 'float32',
    })
  })
  afterAll(() => engine.close())

  it('swaps, shares and copies blocks', async () => {
    const { prompts, greedy } = modelReference('llama')
    const requests = prompts.map((promptTokenIds) => ({ promptTokenIds }))
    const outputs = await engine.generate(requests, {
      maxTokens: 20,
      temperature: 0,
      ignoreEos: true,
    })
    outputs.forEach((output, i) =>
      expect(output.outputs[0]!.tokenIds).toEqual(greedy[i]!.slice(0, 20)),
    )
    const several = await engine.generate(requests[0]!, { n: 3, maxTokens: 8, seed: 1 })
    expect(several[0]!.outputs).toHaveLength(3)
    engine.checkIntegrity()
  })
})
