import { onGpu, whyNotEmulated } from '../support/emulated.js'
import { afterEach, describe, expect, it } from 'vitest'
import { LLMEngine, type EngineOptions } from '../../lib/index.js'
import { readCheckpoint } from '../../lib/weights/checkpoint.js'
import { EXACT, modelReference } from '../support/models.js'
import { expectNearTies, referenceOutputs } from '../support/near-ties.js'
import { readTensor } from '../support/weights.js'

const GREEDY = { maxTokens: 10, temperature: 0, ignoreEos: true }

function load(name: string, options: EngineOptions = {}): Promise<LLMEngine> {
  return LLMEngine.load(modelReference(name).folder, {
    ...EXACT,
    device: 'cuda',
    dtype: 'float32',
    skipTokenizerInit: true,
    maxNumSeqs: 8,
    maxNumBatchedTokens: 48,
    numGpuBlocksOverride: 96,
    ...options,
  })
}

// Experts of each kind of router, latent attention, short convolutions.
const MODELS = [
  ...['mixtral', 'qwen2-moe', 'gpt-oss', 'granite-moe', 'olmoe'],
  ...['deepseek-v2-lite', 'deepseek-v3', 'lfm2'],
]

describe.skipIf(whyNotEmulated).each(MODELS)('%s on the emulated GPU', (name) => {
  const { prompts, greedy } = modelReference(name)
  const requests = prompts.map((promptTokenIds) => ({ promptTokenIds }))

  it.each([false, true])('gives the reference tokens in float32, batchInvariant %s', async (on) => {
    await using engine = await load(name, { batchInvariant: on })
    const outputs = await engine.generate(requests, GREEDY)
    outputs.forEach(({ outputs: [completion] }, i) =>
      expect(completion!.tokenIds).toEqual(greedy[i]!.slice(0, 10)),
    )
    engine.checkIntegrity()
  })

  it('goes with the reference in bfloat16 until two tokens are as good', async () => {
    await using engine = await load(name, { dtype: 'bfloat16', kvCacheDtype: 'bfloat16' })
    const outputs = await engine.generate(requests, { ...GREEDY, logprobs: 5 })
    expectNearTies(outputs, await referenceOutputs(name, GREEDY.maxTokens))
  })
})

describe.skipIf(whyNotEmulated)('vectors on the emulated GPU', () => {
  it.each(['last', 'mean'] as const)(
    'that pool the %s hidden states are those of the CPU',
    async (pooling) => {
      const inputs = modelReference('llama').prompts.map((promptTokenIds) => ({ promptTokenIds }))
      await using gpu = await load('llama')
      await using cpu = await load('llama', { device: 'cpu' })
      const [found, wanted] = await Promise.all(
        [gpu, cpu].map((each) => each.embed(inputs, { pooling })),
      )
      found!.forEach(({ embedding }, i) =>
        embedding.forEach((x, c) => expect(x).toBeCloseTo(wanted![i]!.embedding[c]!, 5)),
      )
      gpu.checkIntegrity()
    },
  )

  it.each([false, true])(
    'take the place of tokens, asyncScheduling %s',
    async (asyncScheduling) => {
      const { folder, prompts, greedy } = modelReference('llama')
      const { tensors } = await readCheckpoint(folder)
      const stored = tensors.get('model.embed_tokens.weight')!
      const { file, offset, length, shape } = stored
      const table = readTensor({ name: 'table', file, offset, length, shape, type: 'bfloat16' })
      const columns = shape[1]!
      const rows = (ids: readonly number[]) =>
        ids.map((id) => table.slice(id * columns, (id + 1) * columns))
      await using engine = await load('llama', { asyncScheduling })
      const prompt = prompts[2]!
      const mixed = { promptEmbeds: rows(prompt.slice(0, 9)), promptTokenIds: prompt.slice(9) }
      const outputs = await engine.generate([{ promptEmbeds: rows(prompt) }, mixed], GREEDY)
      for (const {
        outputs: [completion],
      } of outputs)
        expect(completion!.tokenIds).toEqual(greedy[2]!.slice(0, 10))
    },
  )
})

describe.skipIf(whyNotEmulated || onGpu)('a kernel that fails', () => {
  afterEach(() => {
    delete process.env.OCTAVO_EMULATED_FAULT
    delete process.env.OCTAVO_CUDA_CHECK
  })
  const request = { promptTokenIds: modelReference('llama').prompts[0]! }

  // Of a step that is a graph, and of one with the rows of a prompt; by its only op, and by one of many.
  it.each([
    ['sample', true, /a kernel of sample "[^"]*" failed: the GPU: an illegal memory access/],
    ['norm', false, /a kernel of norm "[^"]*layers\.0[^"]*" failed: the GPU: an illegal/],
    ['rotary angles', false, /a kernel of rotary angles failed: the GPU: an illegal/],
  ] as const)('is told with its op, though nobody waited for it: %s', async (kernel, ran, told) => {
    await using engine = await load('llama')
    if (ran) await engine.generate(request, GREEDY)
    process.env.OCTAVO_EMULATED_FAULT = kernel
    await expect(engine.generate(request, GREEDY)).rejects.toThrow(told)
  })

  it('is told by the step that is submitted behind it', async () => {
    await using engine = await load('llama', { asyncScheduling: true })
    process.env.OCTAVO_EMULATED_FAULT = 'gather'
    await expect(engine.generate(request, GREEDY)).rejects.toThrow(/a kernel of gatherRows "/)
  })

  it("is told as another engine's by one that had nothing under way", async () => {
    await using idle = await load('llama')
    await idle.generate(request, GREEDY)
    await using failing = await load('llama')
    process.env.OCTAVO_EMULATED_FAULT = 'norm'
    await expect(failing.generate(request, GREEDY)).rejects.toThrow(/a kernel of norm "/)
    delete process.env.OCTAVO_EMULATED_FAULT
    await expect(idle.generate(request, GREEDY)).rejects.toThrow(
      /a kernel of another engine's norm "[^"]*" failed: the GPU: an illegal memory access/,
    )
  })

  it('is named where each op is waited for', async () => {
    process.env.OCTAVO_CUDA_CHECK = '1'
    await using engine = await load('llama')
    process.env.OCTAVO_EMULATED_FAULT = 'attention, general'
    await expect(engine.generate(request, GREEDY)).rejects.toThrow(
      /pagedAttention "[^"]*layers\.0[^"]*" failed: the GPU: an illegal memory access/,
    )
  })
})
