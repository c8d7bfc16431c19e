import { describe, expect, test } from 'vitest'
import { resolveEngineOptions } from '../lib/engine/config.js'
import { planModel } from '../lib/engine/load.js'
import { LLMEngine } from '../lib/index.js'
import { loadAddon } from '../lib/native/addon.js'
import { quantizationScheme } from '../lib/weights/quantization.js'
import { withChannelsShuffled } from './support/act-order.js'
import { temporaryFolder } from './support/files.js'
import { EXACT, logSoftmax, modelReference } from './support/models.js'

// Checkpoints packed by independent code; the references compute with the dequantised weights and
// float32 activations. Octavo multiplies the stored codes with activations of 8 bits, a scale for
// every group of columns: each product is off by about 1/250 of the largest activation of its group,
// as weights of float8 are that become codes. Two layers of them move the worst of 768 logits, whose
// range is 5, by a hundredth of it to two; a wrong zero point or scale moves them by tenths.
const ACTIVATION_ERROR = 0.12

describe.each(['gptq', 'awq', 'ct-int8-w8a8', 'fp8-block'])('a checkpoint of %s', (name) => {
  const { folder, prompts, nextLogits } = modelReference(name, 'quantised')

  test('has the log-probabilities of its dequantised weights', async () => {
    const options = { ...EXACT, skipTokenizerInit: true, maxLogprobs: -1 }
    const engine = await LLMEngine.load(folder, options)
    const outputs = await engine.generate(
      prompts.map((promptTokenIds) => ({ promptTokenIds })),
      { maxTokens: 1, temperature: 0, logprobs: -1 },
    )
    outputs.forEach(({ outputs: [output] }, i) => {
      const row = output!.logprobs![0]!
      logSoftmax(nextLogits[i]!).forEach((expected, id) => {
        expect(Math.abs(row.get(id)!.logprob - expected)).toBeLessThan(ACTIVATION_ERROR)
      })
    })
    await engine.close()
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
    [{ ...gptq, checkpoint_format: 'marlin' }, 'checkpoint_format "marlin"; supported are gptq'],
    [{ ...gptq, quant_method: 'awq', version: 'gemv' }, 'version "gemv"; supported is gemm'],
    [packed({ format: 'nvfp4-pack-quantized' }), 'format "nvfp4-pack-quantized"; supported are'],
    [packed({ quantization_status: 'frozen' }), 'quantization_status "frozen"'],
    [packed({ ignore: ['re:('] }), 'ignore: Invalid regular expression'],
  ])('of %o is refused in one line', (config, message) => {
    const error = { code: 'unsupported_model', message: expect.stringContaining(message) as string }
    expect(() => scheme(config)).toThrow(expect.objectContaining(error) as Error)
  })

  test('says which modules are quantised', () => {
    const head = scheme(gptq)!
    expect(head('lm_head')).toBe(null)
    expect(head('model.layers.0.mlp.up_proj')).toMatchObject({ bits: 4, group: 128 })
    const awq = { quant_method: 'awq', bits: 4, modules_to_not_convert: ['self_attn'] }
    expect(scheme(awq)!('model.layers.0.self_attn.q_proj')).toBe(null)
    expect(scheme(awq)!('model.layers.0.mlp.up_proj')).toMatchObject({ group: null })
    const ignoring = scheme(packed({ ignore: ['lm_head', 're:.*layers\\.1\\..*'] }))!
    expect(ignoring('lm_head')).toBe(null)
    expect(ignoring('model.layers.1.mlp.up_proj')).toBe(null)
    expect(ignoring('model.layers.2.mlp.up_proj')).toMatchObject({ encoding: 'packed4' })
  })
})
