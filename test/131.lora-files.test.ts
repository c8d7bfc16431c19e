import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readLoraAdapter } from '../lib/weights/lora-adapter.js'
import { adapterFolder, pair, PREFIX } from './support/adapters.js'
import type { TensorToWrite } from './support/files.js'
import { FIXTURES } from './support/models.js'

const Q = 'model.layers.0.self_attn.q_proj'
const UP = 'model.layers.11.mlp.up_proj'
const SIZES = [64, 96] as const
const BOTH = { ...pair(Q, SIZES), ...pair(UP, SIZES) }

/** The scale of each module of an adapter with such a config. */
async function scalesOf(config: object, tensors = BOTH): Promise<Record<string, number>> {
  const { modules } = await readLoraAdapter(adapterFolder(config, tensors))
  return Object.fromEntries([...modules].map(([name, { scale }]) => [name, scale]))
}

describe('an adapter that PEFT wrote', () => {
  // qv-r4: alpha 8 over rank 4; all-r8: 16 over 8; the last one's rank is under a root: 8 over √16.
  it.each([
    ['qv-r4', 4, 2, ['self_attn.q_proj', 'self_attn.v_proj']],
    ['mlp-r16-rslora', 16, 2, ['mlp.down_proj', 'mlp.gate_proj', 'mlp.up_proj']],
    ['all-r8', 8, 2, ['mlp.down_proj', 'mlp.gate_proj', 'mlp.up_proj', 'self_attn.k_proj']],
  ])('%s has rank %i, scale %f and its modules', async (name, rank, scale, first) => {
    const folder = join(FIXTURES, 'lora', name)
    const adapter = await readLoraAdapter(folder)
    expect(adapter).toMatchObject({ path: folder, rank })
    const names = [...adapter.modules.keys()]
    expect(names.slice(0, first.length)).toEqual(first.map((module) => `model.layers.0.${module}`))
    for (const module of adapter.modules.values()) {
      expect(module).toMatchObject({ rank, scale })
      expect(module.a.shape[0]).toBe(rank)
      expect(module.b.shape[1]).toBe(rank)
      expect(module.a.name).toBe(`${PREFIX}${module.name}.lora_A.weight`)
    }
  })
})

describe('the scale of a module', () => {
  it.each<[string, object, number, number]>([
    ['alpha over rank', {}, 2, 2],
    ['alpha over its root', { use_rslora: true }, 4, 4],
    ['with a fraction', { lora_alpha: 0.5 }, 0.125, 0.125],
    ['by a name', { alpha_pattern: { q_proj: 16 } }, 4, 2],
    ['by more of a name', { alpha_pattern: { 'self_attn.q_proj': 16, q_proj: 32 } }, 4, 2],
    ['by the first pattern that fits', { alpha_pattern: { '.*_proj': 12, q_proj: 16 } }, 3, 3],
    ['by an expression', { alpha_pattern: { 'layers\\.1\\d\\..*(up|down)_proj': 16 } }, 2, 4],
    ['by an anchored expression', { alpha_pattern: { [`^${UP}`]: 16 } }, 2, 4],
    ['not by the end of a word', { alpha_pattern: { proj: 16, 'ayers.0.*': 16 } }, 2, 2],
    ['not by the beginning of a name', { alpha_pattern: { 'model.layers.0': 16 } }, 2, 2],
  ])('is %s', async (_, config, q, up) => {
    expect(await scalesOf(config)).toEqual({ [Q]: q, [UP]: up })
  })

  it('follows a rank of its own', async () => {
    const tensors = { ...pair(Q, SIZES), ...pair(UP, SIZES, { rank: 16 }) }
    const config = { rank_pattern: { up_proj: 16 }, alpha_pattern: { up_proj: 4 } }
    expect(await scalesOf(config, tensors)).toEqual({ [Q]: 2, [UP]: 0.25 })
    expect(await scalesOf({ ...config, use_rslora: true }, tensors)).toEqual({ [Q]: 4, [UP]: 1 })
    const { rank } = await readLoraAdapter(adapterFolder(config, tensors))
    expect(rank).toBe(16)
  })
})

describe('names of tensors', () => {
  const shapes = { A: [4, 64], B: [96, 4] }
  const named = (name: (which: string) => string) =>
    Object.fromEntries(
      Object.entries(shapes).map(([which, shape]) => [name(which), { dtype: 'BF16', shape }]),
    )
  it.each([
    ['as PEFT writes them', (which: string) => `${PREFIX}${Q}.lora_${which}.weight`],
    [
      'with the name of the adapter',
      (which: string) => `${PREFIX}${Q}.lora_${which}.default.weight`,
    ],
    ['without the prefix', (which: string) => `${Q}.lora_${which}.weight`],
  ])('%s', async (_, name) => {
    const { modules } = await readLoraAdapter(adapterFolder({}, named(name)))
    expect([...modules.keys()]).toEqual([Q])
    expect(modules.get(Q)).toMatchObject({ a: { name: name('A') }, b: { name: name('B') } })
  })
})

describe("the base model's matrix of an adapted head", () => {
  const head = pair('lm_head', SIZES)
  const withBase = (name: string, shape: readonly number[]) =>
    adapterFolder({}, { ...head, [`${PREFIX}lm_head.base_layer.${name}`]: { dtype: 'F32', shape } })

  it('is left aside', async () => {
    const { modules } = await readLoraAdapter(withBase('weight', [96, 64]))
    expect([...modules.keys()]).toEqual(['lm_head'])
  })

  it('but not its bias, which may have been trained', async () => {
    const refused = expect(readLoraAdapter(withBase('bias', [96]))).rejects
    await refused.toThrow('tensor base_model.model.lm_head.base_layer.bias: only lora_A')
  })
})

describe('fields that only matter for training', () => {
  it.each<[string, unknown]>([
    ['lora_dropout', 0.1],
    ['target_modules', 'all-linear'],
    ['layers_to_transform', [0, 1]],
    ['fan_in_fan_out', true],
    ['bias', 'lora_only'],
    ['init_lora_weights', 'gaussian'],
    ['modules_to_save', []],
    ['loftq_config', {}],
    ['eva_config', { rho: 2 }],
    ['velora_config', { num_groups: 4 }],
    ['megatron_config', { tensor_parallel: 1 }],
    ['a_field_of_tomorrow', { a: 1 }],
  ])('are not looked at: %s', async (field, value) => {
    expect(await scalesOf({ [field]: value })).toEqual({ [Q]: 2, [UP]: 2 })
  })
})

describe('an adapter that is refused', () => {
  const only = (expected: string, found: string) => `only ${expected} is supported, found ${found}`
  const without = (found: string) => only('an adapter without it', found)
  const plain = 'an adapter of the base model as it is, such as PEFT converts it to,'

  it.each<[string, unknown, string]>([
    ['peft_type', 'ADALORA', only('"LORA"', '"ADALORA"')],
    ['peft_type', undefined, only('"LORA"', 'undefined')],
    ['use_dora', true, without('true')],
    ['modules_to_save', ['lm_head'], without('an array')],
    ['target_parameters', ['mlp.experts.down_proj'], without('an array')],
    ['alora_invocation_tokens', [1, 2], without('an array')],
    ['layer_replication', [[0, 2]], without('an array')],
    ['trainable_token_indices', { embed_tokens: [7] }, without('an object')],
    ['use_qalora', true, without('true')],
    ['use_bdlora', { nblocks: 2 }, without('an object')],
    ['arrow_config', { top_k: 3 }, without('an object')],
    ['kasa_config', { beta: 1 }, without('an object')],
    ['init_lora_weights', 'pissa_niter_16', only(plain, '"pissa_niter_16"')],
    ['init_lora_weights', 'olora', only(plain, '"olora"')],
  ])('by its config: %s %o', async (field, value, message) => {
    const folder = adapterFolder({ [field]: value }, BOTH)
    await expect(readLoraAdapter(folder)).rejects.toMatchObject({
      code: 'not_supported',
      message: `${join(folder, 'adapter_config.json')}: ${field}: ${message}`,
    })
  })

  it.each<[string, object | string, string]>([
    ['no JSON', '{"r": NaN}', ': not JSON'],
    ['no object', '[]', ': expected an object, found an empty array'],
    ['a rank of zero', { r: 0 }, ': r must be an integer of at least 1, found 0'],
    ['a rank that is no integer', { r: 1.5 }, ': r must be an integer of at least 1, found 1.5'],
    [
      'an alpha that is no number',
      { lora_alpha: '16' },
      ': lora_alpha must be a number, found "16"',
    ],
    [
      'an infinite alpha',
      '{"peft_type":"LORA","r":4,"lora_alpha":1e999}',
      ': lora_alpha must be a',
    ],
    [
      'an absurd alpha',
      { lora_alpha: 1e200 },
      `: module ${Q} is scaled by 2.5e+199, expected a number that float32 holds`,
    ],
    [
      'no number of a pattern',
      { alpha_pattern: { q_proj: null, up_proj: [1] } },
      ': alpha_pattern: up_proj must be a number, found an array',
    ],
    [
      'no expression',
      { rank_pattern: { '(': 4 } },
      ': rank_pattern: expected regular expressions, found "("',
    ],
    ['a flag that is none', { use_rslora: 1 }, ': use_rslora must be true or false, found 1'],
  ])('by values in its config: %s', async (_, config, message) => {
    const folder = adapterFolder(config, BOTH)
    const refused = expect(readLoraAdapter(folder)).rejects
    await refused.toMatchObject({ code: 'invalid_file' })
    await refused.toThrow(`${join(folder, 'adapter_config.json')}${message}`)
  })

  const A = `${PREFIX}${Q}.lora_A.weight`
  const B = `${PREFIX}${Q}.lora_B.weight`
  const others = 'only lora_A.weight and lora_B.weight of linear modules are supported'
  const zeros = (...shape: number[]): TensorToWrite => ({ dtype: 'F32', shape })
  const plus = (name: string, tensor = zeros(4)) => ({ ...BOTH, [`${PREFIX}${name}`]: tensor })

  it.each<[string, Record<string, TensorToWrite>, string, string]>([
    [
      'a alone',
      { [A]: zeros(4, 64) },
      'invalid_file',
      `${A}: is there without lora_B of its module`,
    ],
    [
      'b alone',
      { [B]: zeros(96, 4) },
      'invalid_file',
      `${B}: is there without lora_A of its module`,
    ],
    [
      'a of another rank',
      pair(Q, SIZES, { rank: 8 }),
      'invalid_file',
      `${A}: expected shape [4, in], by the rank in adapter_config.json, found [8, 64]`,
    ],
    [
      'b transposed',
      { [A]: zeros(4, 64), [B]: zeros(4, 96) },
      'invalid_file',
      `${B}: expected shape [out, 4], by the rank in adapter_config.json, found [4, 96]`,
    ],
    [
      'three dimensions',
      { [A]: zeros(4, 64, 1), [B]: zeros(96, 4) },
      'invalid_file',
      `${A}: expected shape [4, in], by the rank in adapter_config.json, found [4, 64, 1]`,
    ],
    [
      'one twice',
      { ...BOTH, [`${Q}.lora_A.weight`]: zeros(4, 64) },
      'invalid_file',
      `${Q}.lora_A.weight: is there as ${A} too`,
    ],
    ...[
      'model.embed_tokens.lora_embedding_A',
      'model.embed_tokens.weight',
      'lm_head.base_layer.weight',
      `${Q}.lora_B.bias`,
      `${Q}.bias`,
      `${Q}.lora_magnitude_vector`,
    ].map((name): [string, Record<string, TensorToWrite>, string, string] => [
      name,
      plus(name),
      'not_supported',
      `${PREFIX}${name}: ${others}`,
    ]),
  ])('by its tensors: %s', async (_, tensors, code, message) => {
    const refused = expect(readLoraAdapter(adapterFolder({}, tensors))).rejects
    await refused.toMatchObject({ code })
    await refused.toThrow(`adapter_model.safetensors: tensor ${message}`)
  })

  it('because it has none', async () => {
    const folder = adapterFolder({}, {})
    const message = `${join(folder, 'adapter_model.safetensors')}: expected lora_A and lora_B of modules, found no tensors`
    await expect(readLoraAdapter(folder)).rejects.toMatchObject({ code: 'invalid_file', message })
  })

  it('because a file is missing or in another format', async () => {
    const refuse = (folder: string, message: string) =>
      expect(readLoraAdapter(folder)).rejects.toMatchObject({
        code: 'model_not_found',
        message: `${folder} has no ${message}`,
      })
    await refuse(adapterFolder(null, null), 'adapter_config.json; it is empty')
    const nameless = adapterFolder(null, BOTH)
    await refuse(nameless, 'adapter_config.json; it holds adapter_model.safetensors')
    const pickled = adapterFolder({}, null)
    await refuse(pickled, 'adapter_model.safetensors; it holds adapter_config.json')
    writeFileSync(join(pickled, 'adapter_model.bin'), '')
    const converted = '(it holds adapter_model.bin; convert it to safetensors)'
    await refuse(pickled, `adapter_model.safetensors ${converted}`)
  })
})

it('an adapter whose files change has another identity', async () => {
  const folder = adapterFolder({}, BOTH)
  const { identity } = await readLoraAdapter(folder)
  expect((await readLoraAdapter(folder)).identity).toBe(identity)
  appendFileSync(join(folder, 'adapter_config.json'), ' ')
  expect((await readLoraAdapter(folder)).identity).not.toBe(identity)
  expect((await readLoraAdapter(adapterFolder({}, BOTH))).identity).not.toBe(identity)
})
