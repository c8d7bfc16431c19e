import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { LLMEngine } from '../lib/index.js'
import { readModelConfig } from '../lib/models/registry.js'
import { checkpointOf, readCheckpoint } from '../lib/weights/checkpoint.js'
import { findGguf } from '../lib/weights/gguf-model.js'
import { locateModel } from '../lib/weights/model-folder.js'
import { temporaryFolder } from './support/files.js'
import { EXACT, FIXTURES, modelReference } from './support/models.js'

// Written by test/tools/gguf-fixture.py from the fixture of the same name.
const LLAMA = join(FIXTURES, 'gguf/llama-BF16.gguf')

describe('a Llama in a GGUF file', () => {
  test('has the config of its Hugging Face folder', async () => {
    const [found, wanted] = await Promise.all([
      locateModel(LLAMA),
      locateModel(join(FIXTURES, 'models/llama')),
    ])
    const config = readModelConfig(found.config, found.configFile)
    expect(config).toEqual(readModelConfig(wanted.config))
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

describe('a folder of GGUF files', () => {
  test('must hold one model, in one file or in parts', async () => {
    const folder = temporaryFolder()
    expect(await findGguf(folder)).toBe(null)
    for (const part of [1, 2]) copyFileSync(LLAMA, join(folder, `big-0000${part}-of-00002.gguf`))
    expect(await findGguf(folder)).toBe(join(folder, 'big-00001-of-00002.gguf'))
    copyFileSync(LLAMA, join(folder, 'model.gguf'))
    const error = { code: 'model_not_found' }
    await expect(locateModel(folder)).rejects.toMatchObject(error)
    await expect(locateModel(folder)).rejects.toThrow('holds 2 GGUF files, such as big-00001')
  })
})
