import { copyFileSync, cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { LLMEngine } from '../lib/index.js'
import { readModelConfig } from '../lib/models/registry.js'
import { checkpointOf, readCheckpoint } from '../lib/weights/checkpoint.js'
import { findGguf, readRopeFactors } from '../lib/weights/gguf-model.js'
import { checkpointName, LLAMA_PLACES, MIXTRAL } from '../lib/weights/gguf-names.js'
import { readGguf } from '../lib/weights/gguf.js'
import { locateModel } from '../lib/weights/model-folder.js'
import { temporaryFolder } from './support/files.js'
import { ggufFile } from './support/gguf.js'
import { EXACT, FIXTURES, logSoftmax, modelReference } from './support/models.js'

// Written by test/tools/gguf-fixture.py from the fixture of the same name.
const LLAMA = join(FIXTURES, 'gguf/llama-BF16.gguf')

describe('a Llama in a GGUF file', () => {
  test('has the config of its Hugging Face folder', async () => {
    const [found, wanted] = await Promise.all([
      locateModel(LLAMA),
      locateModel(join(FIXTURES, 'models/llama')),
    ])
    const { options: _, ...config } = readModelConfig(found.config, found.configFile)
    expect(readModelConfig(wanted.config)).toMatchObject(config)
  })

  test('has its tensors, under the same names', async () => {
    const { tensors } = await checkpointOf(await locateModel(LLAMA))
    const wanted = await readCheckpoint(join(FIXTURES, 'models/llama'))
    expect([...tensors.keys()].sort()).toEqual([...wanted.tensors.keys()].sort())
    for (const [name, { shape }] of wanted.tensors) expect(tensors.get(name)!.shape).toEqual(shape)
  })

  test.each([
    ['by its name', () => LLAMA],
    [
      'by its folder',
      () => {
        const folder = temporaryFolder()
        copyFileSync(LLAMA, join(folder, 'model.gguf'))
        return folder
      },
    ],
  ])('loaded %s gives the tokens of the reference', async (_, place) => {
    const { prompts, greedy } = modelReference('llama')
    const engine = await LLMEngine.load(place(), { ...EXACT, skipTokenizerInit: true })
    const outputs = await engine.generate(
      prompts.map((promptTokenIds) => ({ promptTokenIds })),
      { maxTokens: 24, temperature: 0, ignoreEos: true },
    )
    expect(outputs.map(({ outputs: [output] }) => output!.tokenIds)).toEqual(greedy)
    engine.checkIntegrity()
    await engine.close()
  })
})

// Written by the same tool; bfloat16 is what the fixtures hold, so their tokens are those of the reference.
// Gemma's and Nemotron's gains are stored whole; q, k and v of GPT-NeoX, Falcon and GPT-2 follow each other; latent attention's matrix of keys and values is stored as two.
test.each([
  ...[
    'gemma2',
    'olmoe',
    'granite-moe',
    'deepseek-v2-yarn',
    'stablelm',
    'gpt-neox-serial',
    'nemotron',
  ],
  ...['falcon-7b', 'gpt2'],
])('a file of %s gives the tokens of the reference', async (name) => {
  const { prompts, greedy } = modelReference(name)
  const path = join(FIXTURES, `gguf/${name}-BF16.gguf`)
  const engine = await LLMEngine.load(path, { ...EXACT, skipTokenizerInit: true })
  const outputs = await engine.generate(
    prompts.map((promptTokenIds) => ({ promptTokenIds })),
    { maxTokens: 24, temperature: 0, ignoreEos: true },
  )
  expect(outputs.map(({ outputs: [output] }) => output!.tokenIds)).toEqual(greedy)
  await engine.close()
})

// Weights are off by up to 1/254 of their group's largest and activations too: two layers move a
// log-probability by hundredths, where a wrong expert or scale moves it by tenths and more.
test.each(['mixtral', 'gpt-oss'])('experts of %s in Q8_0 are computed as codes', async (name) => {
  const { prompts, nextLogits } = modelReference(name)
  const path = join(FIXTURES, `gguf/${name}-Q8_0.gguf`)
  const options = { ...EXACT, skipTokenizerInit: true, maxLogprobs: -1 }
  const engine = await LLMEngine.load(path, options)
  const outputs = await engine.generate(
    prompts.map((promptTokenIds) => ({ promptTokenIds })),
    { maxTokens: 1, temperature: 0, logprobs: -1 },
  )
  await engine.close()
  outputs.forEach(({ outputs: [output] }, i) =>
    logSoftmax(nextLogits[i]!).forEach((expected, id) => {
      const found = output!.logprobs![0]!.get(id)!.logprob
      expect(Math.abs(found - expected)).toBeLessThan(0.2)
    }),
  )
})

test.each([
  [{ 'rope_freqs.weight': [1, 2] }, { short: [1, 2], long: [1, 2] }],
  [
    { 'rope_factors_short.weight': [1, 2], 'rope_factors_long.weight': [3, 4] },
    { short: [1, 2], long: [3, 4] },
  ],
  [{}, {}],
])('rotary factors of %o are read', async (tensors, factors) => {
  const path = join(temporaryFolder(), 'model.gguf')
  const stored = Object.entries(tensors).map(([name, numbers]) => ({
    ...{ name, shape: [numbers.length], type: 0 },
    data: new Uint8Array(Float32Array.from(numbers).buffer),
  }))
  writeFileSync(path, ggufFile({ 'general.architecture': 'llama' }, stored))
  expect(await readRopeFactors(await readGguf(path))).toEqual(factors)
})

test('an older file of Mixtral has a tensor for each expert', () => {
  const name = checkpointName(LLAMA_PLACES, MIXTRAL, 'blk.3.ffn_up.5.weight')
  expect(name).toBe('model.layers.3.block_sparse_moe.experts.5.w3.weight')
})

test.each([
  [{ 'general.architecture': 'rwkv7' }, 'architecture rwkv7 is not supported in GGUF files'],
  [
    { 'general.architecture': 'qwen2', 'qwen2.expert_count': 8 },
    'a mixture of experts of architecture qwen2 is not supported in GGUF files; supported are llama',
  ],
])('an architecture without a family is refused: %o', async (metadata, message) => {
  const path = join(temporaryFolder(), 'model.gguf')
  writeFileSync(path, ggufFile(metadata, []))
  await expect(locateModel(path)).rejects.toMatchObject({
    code: 'unsupported_model',
    message: expect.stringContaining(message) as string,
  })
})

describe('a folder of GGUF files', () => {
  test('must hold one model, in one file or in parts, or one of a type that is preferred', async () => {
    const folder = temporaryFolder()
    expect(await findGguf(folder)).toBe(null)
    for (const part of [1, 2]) copyFileSync(LLAMA, join(folder, `big-0000${part}-of-00002.gguf`))
    expect(await findGguf(folder)).toBe(join(folder, 'big-00001-of-00002.gguf'))
    copyFileSync(LLAMA, join(folder, 'model.gguf'))
    const error = { code: 'model_not_found' }
    await expect(locateModel(folder)).rejects.toMatchObject(error)
    await expect(locateModel(folder)).rejects.toThrow(
      `${folder} has 2 GGUF files; name one of them: there are big-00001-of-00002.gguf, model.gguf;`,
    )
    copyFileSync(LLAMA, join(folder, 'model-Q4_0.gguf'))
    expect(await findGguf(folder)).toBe(join(folder, 'model-Q4_0.gguf'))
  })

  test('gives the one that has a tag, or is refused, without the hub', async () => {
    const here = temporaryFolder()
    const folder = join(here, 'models/tiny-GGUF')
    mkdirSync(folder, { recursive: true })
    for (const tag of ['Q4_0', 'BF16']) copyFileSync(LLAMA, join(folder, `tiny-${tag}.gguf`))
    vi.spyOn(process, 'cwd').mockReturnValue(here)
    onTestFinished(() => void vi.restoreAllMocks())
    const path = join(folder, 'tiny-BF16.gguf')
    expect(await locateModel('models/tiny-GGUF:bf16')).toMatchObject({ path })
    await expect(locateModel('models/tiny-GGUF:Q8_0')).rejects.toThrow(
      `${folder} has no GGUF file Q8_0: there are tiny-BF16.gguf, tiny-Q4_0.gguf;`,
    )
  })

  test('has its safetensors loaded first, unless a GGUF file is asked for', async () => {
    const folder = temporaryFolder()
    cpSync(join(FIXTURES, 'models/llama'), folder, { recursive: true })
    const path = join(folder, 'model.gguf')
    copyFileSync(LLAMA, path)
    expect(await locateModel(folder)).toMatchObject({ path: folder, gguf: null })
    expect(await locateModel(folder, { format: 'safetensors' })).toMatchObject({ path: folder })
    expect(await locateModel(folder, { format: 'gguf' })).toMatchObject({ path })
  })
})
