import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { resolveEngineOptions } from '../lib/engine/config.js'
import { planModel } from '../lib/engine/load.js'
import { LLMEngine } from '../lib/index.js'
import { loadAddon } from '../lib/native/addon.js'
import { matchCheckpoint } from '../lib/weights/checkpoint.js'
import { quantizationScheme } from '../lib/weights/quantization.js'
import { readSafetensors } from '../lib/weights/safetensors.js'
import { withChannelsShuffled } from './support/act-order.js'
import { temporaryFolder, writeSafetensors, type TensorToWrite } from './support/files.js'
import {
  EXACT,
  FIXTURES,
  logSoftmax,
  modelReference,
  type ModelReference,
} from './support/models.js'

// Checkpoints packed by independent code (test/tools/quantised-fixtures.py wrote most of them); the
// references compute with the dequantised weights and float32 activations. Octavo multiplies the stored
// codes with activations of 8 bits, a scale for every group of columns: each product is off by about
// 1/250 of the largest activation of its group, as weights of float8 are that become codes. Two layers
// of them move the worst of a row's log-probabilities by 0.008 to 0.029 of the row's range.
const ACTIVATION_ERROR = 0.035
/** Float32 sums in another order; DeepSeek's and GPT-OSS' references round within them. */
const SUM_ERROR = 2e-3

const MODELS = readdirSync(join(FIXTURES, 'quantised'))

/** The largest difference to the reference's log-probabilities after each prompt, and their range. */
async function worstError(folder: string, { prompts, nextLogits }: ModelReference) {
  const options = { ...EXACT, skipTokenizerInit: true, maxLogprobs: -1 }
  const engine = await LLMEngine.load(folder, options)
  const outputs = await engine.generate(
    prompts.map((promptTokenIds) => ({ promptTokenIds })),
    { maxTokens: 1, temperature: 0, logprobs: -1 },
  )
  await engine.close()
  const wanted = nextLogits.map(logSoftmax)
  const errors = outputs.flatMap(({ outputs: [output] }, i) =>
    [...wanted[i]!].map((expected, id) =>
      Math.abs(output!.logprobs![0]!.get(id)!.logprob - expected),
    ),
  )
  const range = Math.max(...wanted.map((row) => Math.max(...row) - Math.min(...row)))
  return { error: Math.max(...errors), range }
}

/** Writes a quantised model as one of float32, its matrices decoded by the addon. */
async function writeDecoded(folder: string, out: string) {
  const addon = loadAddon()
  const { plan, checkpoint } = await planModel(folder, resolveEngineOptions({}), addon)
  const tensors = matchCheckpoint(plan, checkpoint!).map((tensor) => {
    const { name, shape, file, offset, length, type, encoding } = tensor
    const written: TensorToWrite = encoding
      ? { dtype: 'F32', shape, bytes: new Uint8Array(addon.decodeTensor(tensor, '').buffer) }
      : {
          dtype: { float32: 'F32', bfloat16: 'BF16', float16: 'F16' }[type]!,
          ...{ shape, bytes: readFileSync(file).subarray(offset, offset + length) },
        }
    return [name, written] as const
  })
  writeSafetensors(join(out, 'model.safetensors'), Object.fromEntries(tensors))
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as object
  const plain = { ...config, quantization_config: null, dtype: 'float32', torch_dtype: 'float32' }
  writeFileSync(join(out, 'config.json'), JSON.stringify(plain))
}

/** Writes a model in two files with an index, and its quantization_config in a file of its own. */
async function writeInParts(folder: string, out: string, file: string) {
  const { tensors } = await readSafetensors(join(folder, 'model.safetensors'))
  const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const
  const shardOf = (i: number) => shards[i % 2]!
  for (const shard of shards) {
    const parts = tensors
      .filter((_, i) => shardOf(i) === shard)
      .map(({ name, dtype, shape, file, offset, length }) => {
        const bytes = readFileSync(file).subarray(offset, offset + length)
        return [name, { dtype, shape, bytes }] as const
      })
    writeSafetensors(join(out, shard), Object.fromEntries(parts))
  }
  const write = (name: string, json: object) => {
    writeFileSync(join(out, name), JSON.stringify(json))
  }
  const index = tensors.map(({ name }, i) => [name, shardOf(i)] as const)
  write('model.safetensors.index.json', { weight_map: Object.fromEntries(index) })
  const json = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Json
  const { quantization_config, ...config } = json
  const { quant_method: _, ...quantization } = quantization_config as Json
  write('config.json', config)
  write(file, quantization)
}

type Json = Readonly<Record<string, unknown>>

test.each([
  ['gptq-v2-act', 'quantize_config.json'],
  ['qwen3-moe-awq', 'quant_config.json'],
])('%s is the same in two files, with its %s apart', async (name, file) => {
  const reference = modelReference(name, 'quantised')
  const parts = temporaryFolder()
  await writeInParts(reference.folder, parts, file)
  expect(await worstError(parts, reference)).toEqual(await worstError(reference.folder, reference))
})

describe.each(MODELS)('a checkpoint of %s', (name) => {
  const reference = modelReference(name, 'quantised')

  // GPT-OSS stores its experts by rows in this form alone.
  test.skipIf(name === 'gpt-oss-mxfp4')('is decoded to the numbers of the reference', async () => {
    const decoded = temporaryFolder()
    await writeDecoded(reference.folder, decoded)
    expect((await worstError(decoded, reference)).error).toBeLessThan(SUM_ERROR)
  })

  test('is computed with as the codes that it stores', async () => {
    const { error, range } = await worstError(reference.folder, reference)
    expect(error).toBeLessThan(ACTIVATION_ERROR * range)
  })
})

test('columns of GPTQ in any order give the same tokens', async () => {
  const { folder, prompts } = modelReference('gptq', 'quantised')
  const shuffled = temporaryFolder()
  await withChannelsShuffled(folder, shuffled, 384)
  const run = async (folder: string) => {
    const engine = await LLMEngine.load(folder, { ...EXACT, skipTokenizerInit: true })
    const outputs = await engine.generate(
      prompts.map((promptTokenIds) => ({ promptTokenIds })),
      { maxTokens: 24, temperature: 0, ignoreEos: true },
    )
    await engine.close()
    return outputs.map(({ outputs: [output] }) => output!.tokenIds)
  }
  expect(await run(shuffled)).toEqual(await run(folder))
})

test.each(['llama', 'llama-tied-gqa1', 'gpt2', 'opt'])(
  "quantization 'int4' keeps tables of embeddings in 8 bits: %s",
  async (name) => {
    const config = resolveEngineOptions({ quantization: 'int4' })
    const { plan } = await planModel(modelReference(name).folder, config, loadAddon())
    const tables = new Set(plan.ops.flatMap((op) => (op.kind === 'embed' ? [op.weight.id] : [])))
    for (const { id, role, type } of plan.weights)
      if (role === 'matrix') expect(type).toBe(tables.has(id) ? 'int8/32' : 'int4/32')
  },
)

describe('a quantization_config', () => {
  const scheme = (config: object) =>
    quantizationScheme({
      ...{ name: 'm', path: 'm', gguf: null, generationConfig: null },
      ...{ configFile: 'config.json', config: { quantization_config: config } },
    })
  const gptq = { quant_method: 'gptq', bits: 4, group_size: 128 }
  const weights = { num_bits: 4, type: 'int', strategy: 'group', group_size: 32 }
  const packed = (changes: object) => ({
    quant_method: 'compressed-tensors',
    format: 'pack-quantized',
    config_groups: { group_0: { targets: ['Linear'], weights } },
    ...changes,
  })

  test.each<[object, string]>([
    [{ quant_method: 'hqq' }, 'quant_method "hqq"; supported are gptq, awq'],
    [{ ...gptq, bits: 3 }, 'bits 3; supported are 4 and 8'],
    [{ ...gptq, group_size: 24 }, 'group_size 24, no multiple of 16'],
    [
      { ...gptq, dynamic: { '+:.*up': { bits: 2 } } },
      'dynamic: +:.*up: bits 2; supported are 4 and 8',
    ],
    [{ ...gptq, dynamic: { '.*up': { format: 'bitblas' } } }, '.*up: format of a rule'],
    [{ ...gptq, dynamic: { '-:(': {} } }, 'dynamic: Invalid regular expression'],
    [{ ...gptq, checkpoint_format: 'marlin' }, 'checkpoint_format "marlin"; supported are gptq'],
    [{ ...gptq, quant_method: 'awq', version: 'gemv' }, 'version "gemv"; supported is gemm'],
    [packed({ format: 'nvfp4-pack-quantized' }), 'format "nvfp4-pack-quantized"; supported are'],
    [packed({ quantization_status: 'frozen' }), 'quantization_status "frozen"'],
    [packed({ ignore: ['re:('] }), 'ignore: Invalid regular expression'],
  ])('of %o is refused in one line', (config, message) => {
    const error = { code: 'unsupported_model', message: expect.stringContaining(message) as string }
    expect(() => scheme(config)).toThrow(expect.objectContaining(error) as Error)
  })

  // Writers differ in the name where a scale is for the whole tensor.
  test.each(['weight_scale', 'weight_scale_inv'])('of fp8 finds the scales as %s', async (name) => {
    const part = (name: string, dtype: string) => {
      const tensor = { name, dtype, shape: [2, 2], file: 'm.safetensors', offset: 0, length: 4 }
      return [name, tensor] as const
    }
    const tensors = new Map([part('a.weight', 'F8_E4M3'), part(`a.${name}`, 'F32')])
    const config = { quant_method: 'fp8', weight_block_size: null }
    const encoded = await scheme(config)!.encode({ tensors, metadata: new Map() })
    expect([...encoded.keys()]).toEqual(['a.weight'])
    expect(encoded.get('a.weight')!.encoding).toMatchObject({ name: 'float8', storedGroup: null })
  })

  test('says which modules are quantised', () => {
    const head = scheme(gptq)!.formOf
    expect(head('lm_head')).toBe(null)
    expect(head('model.layers.0.mlp.up_proj')).toMatchObject({ bits: 4, group: 128 })
    const rules = { '-:.*down': {}, '.*\\.0\\.mlp': { bits: 8 }, '+:.*mlp': { group_size: 32 } }
    const ruled = scheme({ ...gptq, dynamic: rules })!.formOf
    expect(ruled('model.layers.0.mlp.down_proj')).toBe(null)
    expect(ruled('model.layers.0.mlp.up_proj')).toMatchObject({ bits: 8, group: 128 })
    expect(ruled('model.layers.1.mlp.up_proj')).toMatchObject({ bits: 4, group: 32 })
    const awq = { quant_method: 'awq', bits: 4, modules_to_not_convert: ['self_attn'] }
    expect(scheme(awq)!.formOf('model.layers.0.self_attn.q_proj')).toBe(null)
    expect(scheme(awq)!.formOf('model.layers.0.mlp.up_proj')).toMatchObject({ group: null })
    const ignoring = scheme(packed({ ignore: ['lm_head', 're:.*layers\\.1\\..*'] }))!.formOf
    expect(ignoring('lm_head')).toBe(null)
    expect(ignoring('model.layers.1.mlp.up_proj')).toBe(null)
    expect(ignoring('model.layers.2.mlp.up_proj')).toMatchObject({ encoding: 'packed4' })
  })
})
