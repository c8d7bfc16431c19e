import { describe, expect, it } from 'vitest'
import { printAdapter } from '../lib/plan/adapter.js'
import { PlanBuilder } from '../lib/plan/builder.js'
import { readLoraAdapter } from '../lib/weights/lora-adapter.js'
import { matchAdapter } from '../lib/weights/match-adapter.js'
import {
  adaptableOf,
  adapterFolder,
  gather,
  planOf,
  PREFIX,
  type Sizes,
} from './support/adapters.js'
import { expectClose } from './support/expect-close.js'
import type { MadeAdapter } from './support/made-adapters.js'
import { MadeModel, normalNumbers, type PlanStep } from './support/run-plan.js'

const RANK = 4
const SCALE = 2
const EPSILON = 2 ** -24

/** A model that is one product with the weight of a family's plan that holds a module. */
async function productOf(place: string, module: string) {
  const weights = adaptableOf(await planOf(place))
  const { id: _, ...weight } = weights.find(({ sources }) =>
    sources.some(({ name }) => name === `${module}.weight`),
  )!
  const g = new PlanBuilder({
    ...{ name: 'product', vocabSize: 2, weightType: 'float32', cacheType: 'float32', adapts: true },
  })
  const input = g.embed('input', g.table({ table: 2 }, weight.shape[1]!))
  const out = g.linear('linear', input, { weight: g.declare(weight) })
  return { model: new MadeModel(g.build()), input, out }
}

/** Writes an adapter of one module, and gives it as the addon and as the reference want it. */
async function adapterOf(model: MadeModel, module: string, [input, output]: Sizes) {
  const matrices = {
    [`${PREFIX}${module}.lora_A.weight`]: [RANK, input],
    [`${PREFIX}${module}.lora_B.weight`]: [output, RANK],
  } as const
  const made = Object.entries(matrices).map(([name, shape], seed) => {
    return [name, { shape, data: normalNumbers(shape[0] * shape[1], { seed }) }] as const
  })
  const written = made.map(([name, { shape, data }]) => {
    return [name, { dtype: 'F32', shape, bytes: new Uint8Array(data.buffer) }] as const
  })
  const folder = adapterFolder({}, Object.fromEntries(written))
  const { plan } = matchAdapter(adaptableOf(model.plan), await readLoraAdapter(folder))
  const [part] = plan.parts
  const [[, a], [, b]] = made as [(typeof made)[0], (typeof made)[0]]
  const rows = gather(part!.b.sources, RANK, b.data).flat()
  const parts = [{ first: part!.first, scale: SCALE, rank: RANK, a: a.data, b: rows }]
  return {
    text: printAdapter(plan),
    reference: new Map([[part!.weight.id, parts]]),
    tensors: Object.fromEntries(
      made.map(([name, tensor]) => [name, { ...tensor, type: 'float32' }]),
    ),
  } satisfies MadeAdapter
}

describe('the addon takes the rows of b that a plain gather takes', () => {
  it.each<[string, string, Sizes]>([
    ['lora/base', 'model.layers.1.self_attn.v_proj', [64, 32]],
    ['models/gpt2', 'transformer.h.1.attn.c_attn', [64, 192]],
    ['models/gpt-neox', 'gpt_neox.layers.1.attention.query_key_value', [64, 192]],
    ['models/falcon', 'transformer.h.1.self_attention.query_key_value', [64, 128]],
    ['models/deepseek-v2-lite', 'model.layers.1.self_attn.q_proj', [32, 96]],
  ])('of %s: %s', async (place, module, sizes) => {
    const { model, input, out } = await productOf(place, module)
    const adapter = await adapterOf(model, module, sizes)
    const rows = normalNumbers(3 * input.cols, { seed: 9 })
    const sequence = { id: 'a', start: 0, tokens: [0, 1, 0] }
    const step: PlanStep = {
      sequences: [{ ...sequence, adapter: adapter.reference }],
      sampleRows: [],
      values: { [input.id]: rows },
    }
    const [found] = model.run([step], [out.id], { adapters: [adapter] })
    const wanted = model.reference.run(step, new Map([[input.id, rows]])).get(out.id)!
    // Sums of at most 64 products and of 4 of such sums, whose magnitudes stay below some hundreds.
    expectClose(found!.values[out.id]!, wanted, () => 1000 * (input.cols + RANK) * EPSILON)
    const plain = model.run([{ ...step, sequences: [sequence] }], [out.id])[0]!.values[out.id]!
    expect(found!.values[out.id]).not.toEqual(plain)
  })
})
