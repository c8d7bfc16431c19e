import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { printAdapter } from '../lib/plan/adapter.js'
import type { Weight, WeightSource } from '../lib/plan/ops.js'
import { readLoraAdapter } from '../lib/weights/lora-adapter.js'
import { matchAdapter } from '../lib/weights/match-adapter.js'
import {
  adapterFolder,
  adaptableOf,
  gather,
  pair,
  planOf,
  PREFIX,
  type Sizes,
} from './support/adapters.js'
import type { TensorToWrite } from './support/files.js'
import { FIXTURES } from './support/models.js'

async function match(place: string, tensors: Record<string, TensorToWrite>, config = {}) {
  const adapter = await readLoraAdapter(adapterFolder(config, tensors))
  return matchAdapter(adaptableOf(await planOf(place)), adapter)
}

/** Whether a tensor has a module's outputs as rows; GPT-2's have them as columns. */
function isByRows({ shape, view }: WeightSource, input: number): boolean {
  return shape[1] === input && (view?.columnStep ?? 1) === 1
}

/** The module's output of which each row of the sources is, by what a matrix [out, in] of its tensor has there. */
function outputsOf(sources: readonly WeightSource[], [input, output]: Sizes): number[] {
  const tensor = Float64Array.from({ length: input * output }, (_, at) =>
    isByRows(sources[0]!, input) ? Math.floor(at / input) : at % output,
  )
  return gather(sources, input, tensor).map(([output]) => output!)
}

/** The output that each row of a b belongs to; its tensor is [out, rank]. */
function rowsOf({ sources, shape }: Weight): number[] {
  const [output = 0, rank = 0] = shape
  const tensor = Float64Array.from({ length: output * rank }, (_, at) => Math.floor(at / rank))
  return gather(sources, rank, tensor).map((row) => {
    expect(new Set(row).size).toBe(1)
    return row[0]!
  })
}

/** The sources of a weight that are of a tensor. */
const sourcesOf = (weight: Weight, tensor: string) =>
  weight.sources.filter(({ name }) => name === tensor)

describe('an adapter beside a plan', () => {
  it('becomes weights and parts, in a text form', async () => {
    const plan = await planOf('lora/base')
    const adapter = await readLoraAdapter(join(FIXTURES, 'lora/qv-r4'))
    const matched = matchAdapter(adaptableOf(plan), adapter)
    const lines = printAdapter(matched.plan).split('\n')
    const [qkv] = adaptableOf(plan)
    const module = (layer: number, name: string) =>
      `${PREFIX}model.layers.${layer}.self_attn.${name}`
    expect(lines.slice(0, 5)).toEqual([
      'octavo-adapter 1',
      `weight 0 matrix float32 [4,64] ${module(0, 'q_proj')}.lora_A.weight`,
      `weight 1 matrix float32 [64,4] ${module(0, 'q_proj')}.lora_B.weight`,
      `weight 2 matrix float32 [4,64] ${module(0, 'v_proj')}.lora_A.weight`,
      `weight 3 matrix float32 [32,4] ${module(0, 'v_proj')}.lora_B.weight`,
    ])
    expect(lines.slice(13, 15)).toEqual([
      `part weight=${qkv!.id} first=0 scale=2 a=0 b=1`,
      `part weight=${qkv!.id} first=96 scale=2 a=2 b=3`,
    ])
    expect(matched.tensors[3]).toMatchObject({
      ...{ name: `${module(0, 'v_proj')}.lora_B.weight`, type: 'float32', shape: [32, 4] },
      ...{ file: join(FIXTURES, 'lora/qv-r4/adapter_model.safetensors'), length: 512 },
    })
  })

  it('keeps the types that its tensors are stored in', async () => {
    const module = 'model.layers.1.mlp.down_proj'
    const { plan, tensors } = await match('lora/base', {
      ...pair(module, [160, 64], { dtype: 'BF16' }),
      [`${PREFIX}${module}.lora_B.weight`]: { dtype: 'F16', shape: [64, 4] },
    })
    expect(plan.weights.map(({ type }) => type)).toEqual(['bfloat16', 'float16'])
    expect(tensors.map(({ type }) => type)).toEqual(['bfloat16', 'float16'])
  })

  it('may adapt a head of its own, which a tied one is not', async () => {
    const head = pair('lm_head', [64, 320])
    const { plan } = await match('lora/base', head)
    expect(plan.parts).toMatchObject([{ first: 0, weight: { shape: [320, 64] } }])
    await expect(match('models/llama-tied-gqa1', head)).rejects.toMatchObject({
      code: 'not_supported',
    })
  })

  const module = 'model.layers.0.self_attn.q_proj'
  it.each([
    ['of a model without its head', 'layers.0.self_attn.q_proj'],
    ['of a model that sees pictures', 'model.language_model.layers.0.self_attn.q_proj'],
    ['of an older one', 'language_model.model.layers.0.self_attn.q_proj'],
  ])('may be one %s', async (_, name) => {
    const { plan } = await match('lora/base', pair(name, [64, 64]))
    expect(plan.parts).toMatchObject([
      { first: 0, weight: { sources: [{ name: `${module}.weight` }, {}, {}] } },
    ])
  })
})

/** Columns of the input and the output of each module of the weights, by the shapes of the tensors. */
function modulesOf(weights: readonly Weight[]): ReadonlyMap<string, Sizes> {
  return new Map(
    weights.flatMap(({ sources, shape: [, input = 0] }) =>
      sources.map((source) => {
        const output = source.shape[isByRows(source, input) ? 0 : 1] ?? 0
        return [source.name.replace(/\.weight$/, ''), [input, output]] as const
      }),
    ),
  )
}

describe('rows of b', () => {
  const models = ['models', 'gguf'].flatMap((kind) =>
    readdirSync(join(FIXTURES, kind))
      .filter((name) => !name.endsWith('.json'))
      .map((name) => `${kind}/${name}`),
  )

  it.each(models)('are of the same weights in the file of another format: %s', async (place) => {
    const [apart, fused] = await Promise.all(
      [false, true].map((fused_qkv) => planOf(place, { fused_qkv })),
    )
    const weights = (plan = apart!) => adaptableOf(plan).map(({ id, shape }) => [id, ...shape])
    expect(weights(fused)).toEqual(weights())
    expect(weights(await planOf(place))).toEqual(weights())
  })

  it.each(models)('are in the order of the rows of each module of %s', async (place) => {
    const adaptable = adaptableOf(await planOf(place))
    const modules = modulesOf(adaptable)
    const pairs = [...modules].map(([name, sizes]) => pair(name, sizes))
    const tensors = Object.fromEntries(pairs.flatMap((pair) => Object.entries(pair)))
    const adapter = await readLoraAdapter(adapterFolder({}, tensors))
    const { plan, tensors: loaded } = matchAdapter(adaptable, adapter)
    expect(plan.parts).toHaveLength(modules.size)
    expect(loaded).toHaveLength(2 * modules.size)
    const covered = new Map<Weight, number[]>()
    plan.parts.forEach(({ weight, first, a, b }, i) => {
      const [name, sizes] = [...modules][i]!
      const outputs = rowsOf(b)
      expect(outputs).toEqual(outputsOf(sourcesOf(weight, `${name}.weight`), sizes))
      expect(outputs.toSorted((x, y) => x - y)).toEqual(outputs.map((_, row) => row))
      expect(a.shape).toEqual([4, sizes[0]])
      const rows = outputs.map((_, row) => first + row)
      covered.set(weight, [...(covered.get(weight) ?? []), ...rows])
    })
    for (const [weight, rows] of covered)
      expect(rows.toSorted((x, y) => x - y)).toEqual(
        Array.from({ length: weight.shape[0]! }, (_, i) => i),
      )
  })

  it.each<[string, string, Sizes, readonly string[]]>([
    ['models/gpt2', 'transformer.h.1.attn.c_attn', [64, 192], ['']],
    [
      'models/gpt-neox',
      'gpt_neox.layers.1.attention.query_key_value',
      [64, 192],
      [':64@0/1/4x192/16x4', ':64@64/1/4x192/16x4', ':64@128/1/4x192/16x4'],
    ],
    [
      'models/deepseek-v2-lite',
      'model.layers.1.self_attn.q_proj',
      [32, 96],
      [':64@0/1/4x96/16x4', ':32@64/1/4x96/8x4'],
    ],
  ])('of a module of %s are those of its own', async (place, module, sizes, rows) => {
    const { plan } = await match(place, pair(module, sizes))
    const line = printAdapter(plan).split('\n')[2]!
    expect(
      line
        .split(`${PREFIX}${module}.lora_B.weight`)
        .map((word) => word.trim())
        .slice(1),
    ).toEqual(rows)
  })
})

describe('an adapter of another model', () => {
  it('is refused by its modules', async () => {
    const code = 'not_supported'
    const known =
      'of this model modules such as model.layers.0.self_attn.q_proj, model.layers.0.self_attn.k_proj, model.layers.0.self_attn.v_proj can be adapted'
    const experts = 'model.layers.1.mlp.experts'
    await expect(
      match('lora/base', {
        ...pair(`${experts}.0.up_proj`, [64, 96]),
        ...pair(`${experts}.1.up_proj`, [64, 96]),
      }),
    ).rejects.toMatchObject({
      code,
      message: expect.stringMatching(
        `: adapts module ${experts}.0.up_proj and 1 more; ${known}$`,
      ) as string,
    })
  })

  it.each<[string, Sizes, string]>([
    ['of another input', [32, 64], 'lora_A.weight: expected shape [4, 64], found [4, 32]'],
    ['of another output', [64, 32], 'lora_B.weight: expected shape [64, 4], found [32, 4]'],
  ])('is refused where a module is %s', async (_, sizes, message) => {
    const module = 'model.layers.0.self_attn.q_proj'
    const refused = expect(match('lora/base', pair(module, sizes))).rejects
    await refused.toMatchObject({ code: 'invalid_file' })
    await refused.toThrow(`adapter_model.safetensors: tensor ${PREFIX}${module}.${message}`)
  })

  it('is refused where two of its modules are one of the model', async () => {
    const module = 'layers.0.self_attn.q_proj'
    const tensors = { ...pair(`model.${module}`, [64, 64]), ...pair(module, [64, 64]) }
    await expect(match('lora/base', tensors)).rejects.toMatchObject({
      code: 'invalid_file',
      message: `adapter_model.safetensors: tensor ${PREFIX}${module}.lora_A.weight: is of a module that is there as model.${module} too`,
    })
  })

  it('is refused where its elements are of no usable type', async () => {
    const tensors = pair('model.layers.0.self_attn.q_proj', [64, 64], { dtype: 'I8' })
    await expect(match('lora/base', tensors)).rejects.toThrow(
      'lora_A.weight: element type I8 is not usable; usable are F32, F16, BF16',
    )
  })
})
