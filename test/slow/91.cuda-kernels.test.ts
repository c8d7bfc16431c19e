import { whyNotEmulated } from '../support/emulated.js'
import { describe, expect, it } from 'vitest'
import { PlanBuilder } from '../../lib/plan/builder.js'
import type { ActivationKind, CacheType, Plan, StoredType, TokenGroup } from '../../lib/plan/ops.js'
import { expectClose } from '../support/expect-close.js'
import { Reference } from '../support/reference.js'
import { concatenate, MadeModel, roundedNumbers, type PlanStep } from '../support/run-plan.js'

const TYPES: readonly StoredType[] = ['float32', 'bfloat16', 'float16']

/** Half a unit in the last place of 1: the relative error of one rounding. */
const ROUNDING = { float32: 2 ** -24, bfloat16: 2 ** -8, float16: 2 ** -11 }

/** A plan whose activations and weights are of one type, as the CUDA backend computes them. */
function builder(type: StoredType, cacheType: CacheType = type) {
  return new PlanBuilder({ name: 'cuda', vocabSize: 2, weightType: type, cacheType })
}

const rowsOf = (rows: number) => [{ id: 'rows', start: 0, tokens: Array<number>(rows).fill(1) }]

/** Runs one step on the emulated GPU and in the reference, and compares a value. */
function compare(
  model: MadeModel,
  given: Readonly<Record<number, Float32Array>>,
  rows: number,
  value: number,
  tolerance: (wanted: number, row: number, column: number) => number,
) {
  const step = { sequences: rowsOf(rows), sampleRows: [] }
  const [result] = model.run([{ ...step, values: given }], [value], { device: 'cuda' })
  const known = new Map(Object.entries(given).map(([id, numbers]) => [Number(id), numbers]))
  expectClose(result!.values[value]!, model.reference.run(step, known).get(value)!, tolerance)
}

describe.skipIf(whyNotEmulated)('linear', () => {
  const shapes = [
    { k: 1, n: 1 },
    { k: 40, n: 257 },
    { k: 65, n: 33 },
    { k: 136, n: 129 },
  ]
  it.each(TYPES.flatMap((type) => shapes.map((shape) => ({ type, ...shape }))))(
    '$type, $k × $n, few rows and many',
    ({ type, k, n }) => {
      const g = builder(type)
      const x = g.embed('x', g.matrix({ x: 2 }, k))
      g.linear('y', x, g.modules('m', { a: n }, { columns: k, bias: true }))
      const model = new MadeModel(g.build())
      for (const rows of [1, 3, 5, 65]) {
        const input = roundedNumbers(type, rows * k, { outlier: 100 })
        // As many roundings in float32 as there are terms, then one to the type.
        const { plan, tensors } = model.reference
        const magnitudes = new Reference(plan, (name) => Array.from(tensors(name), Math.abs)).run(
          { sequences: rowsOf(rows), sampleRows: [] },
          new Map([[0, input.map(Math.abs)]]),
        )
        const tolerance = (value: number, r: number, c: number) =>
          (k + 2) * 2 ** -24 * magnitudes.get(1)![r]![c]! + Math.abs(value) * ROUNDING[type]
        compare(model, { 0: input }, rows, 1, tolerance)
      }
    },
  )
})

describe.skipIf(whyNotEmulated).each(TYPES)('%s: rows on their own', (type) => {
  it.each([1, 7, 16, 33, 520])('norm of %i columns', (cols) => {
    for (const norm of ['rms', 'layer'] as const) {
      const g = builder(type)
      const x = g.embed('x', g.matrix({ x: 2 }, cols))
      const residual = g.embed('r', g.matrix({ r: 2 }, cols))
      const bias = norm === 'layer' ? g.vector({ b: cols }) : undefined
      g.norm('y', x, { norm, eps: 1e-5, residual, weight: g.vector({ w: cols }), bias })
      const model = new MadeModel(g.build())
      const [xs, rs] = [5, 6].map((seed) => roundedNumbers(type, 3 * cols, { seed, outlier: 30 }))
      const given = { 0: xs!, 1: rs! }
      compare(model, given, 3, 1, (value) => Math.abs(value) * ROUNDING[type])
      // The sum with the residual is rounded before it is normed; a mean subtracts numbers up to 60.
      const slack = type === 'float32' ? 4e-6 : 80 * ROUNDING[type]
      compare(model, given, 3, 2, (value) => slack + Math.abs(value) * 3 * ROUNDING[type])
    }
  })

  const kinds: ActivationKind[] = ['silu', 'gelu', 'geluTanh', 'geluQuick', 'relu', 'reluSquared']
  it.each(kinds.flatMap((activation) => [true, false].map((gated) => ({ activation, gated }))))(
    '$activation, gated: $gated',
    ({ activation, gated }) => {
      const g = builder(type)
      g.activation('y', g.embed('x', g.matrix({ x: 2 }, 34)), { activation, gated })
      const model = new MadeModel(g.build())
      const input = roundedNumbers(type, 5 * 34, { deviation: 3, outlier: 5 })
      // The activated gate is rounded, and then its product.
      const error = type === 'float32' ? 5e-6 : 2.1 * ROUNDING[type]
      const tiny = type === 'float16' ? 2 ** -20 : 1e-6
      compare(model, { 0: input }, 5, 1, (value) => Math.abs(value) * error + tiny)
    },
  )

  it.each([true, false])('activates rows of several parts with xielu, gated: %s', (gated) => {
    const g = builder(type)
    const parameters = g.vector({ p: 4 })
    const x = g.embed('x', g.matrix({ x: 2 }, gated ? 48 : 24))
    g.activation('y', x, { activation: 'xielu', gated, parts: 3, parameters })
    const model = new MadeModel(g.build())
    const input = roundedNumbers(type, 5 * (gated ? 48 : 24), { deviation: 2 })
    // Where its terms cancel they are off by their own size, up to 30; then two roundings.
    const slack = type === 'float32' ? 1e-5 : 30 * 2 ** -24 + ROUNDING[type] * 1e-2
    const error = type === 'float32' ? 5e-6 : 2.1 * ROUNDING[type]
    compare(model, { 0: input }, 5, 1, (value) => Math.abs(value) * error + slack)
  })

  it('embeds, scales, adds and gathers', () => {
    const g = new PlanBuilder({ name: 'g', vocabSize: 70, weightType: type, cacheType: type })
    const x = g.embed('x', g.matrix({ x: 41, y: 29 }, 19), 0.5)
    const scaled = g.scale('s', x, { factor: 2, cap: 3 })
    g.gatherRows('y', g.add('a', x, scaled))
    const model = new MadeModel(g.build())
    const tokens = [69, 0, 31, 32, 33, 40, 41, 1]
    const step = { sequences: [{ id: 'a', start: 0, tokens }], sampleRows: [7, 0, 0, 3] }
    const found = model.run([step], [0, 3], { device: 'cuda' })[0]!.values
    const wanted = model.reference.run(step)
    expectClose(found[0]!, wanted.get(0)!, () => 0)
    const error = type === 'float32' ? 2e-6 : 2 * ROUNDING[type]
    expectClose(found[3]!, wanted.get(3)!, (value) => error * (2 + Math.abs(value)))
  })
})

interface Shape {
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly ropeDim: number
  /** Of the cache, if it is another one than that of everything else. */
  readonly cacheType?: CacheType
  /** All compute the same; the last one's output is compared. */
  readonly layers?: number
}
type Features = Partial<Parameters<PlanBuilder['pagedAttention']>[2]>
type Rotation = Partial<Parameters<PlanBuilder['ropeStoreKv']>[2]> & { interleaved?: boolean }

/** Rotary embedding, cache and attention; value 0 is q, k and v. */
function attentionPlan(
  { heads, kvHeads, headDim, ropeDim, cacheType, layers = 1 }: Shape,
  type: StoredType,
  features: (g: PlanBuilder) => Features = () => ({}),
  rotation: (g: PlanBuilder) => Rotation = () => ({}),
): Plan {
  const g = builder(type, cacheType)
  const group = g.cache({ name: 'kv', layers, kvHeads, keyDim: headDim, valueDim: headDim })
  const invFreq = Array.from({ length: ropeDim / 2 }, (_, i) => 100 ** (-2 * (i / ropeDim)))
  const { interleaved, ...given } = rotation(g)
  const rope = g.rope({ dim: ropeDim, scale: 1.25, invFreq, ...(interleaved && { interleaved }) })
  const qkv = g.embed('qkv', g.matrix({ x: 2 }, (heads + 2 * kvHeads) * headDim))
  const attention = { heads, scale: headDim ** -0.5, ...features(g) }
  for (let layer = 0; layer < layers; layer++) {
    const q = g.ropeStoreKv(`rope ${layer}`, qkv, { group, layer, heads, rope, ...given })
    g.pagedAttention(`attn ${layer}`, q, { group, layer, ...attention })
  }
  return g.build()
}

/** Prompts of these lengths, then a decode of each and a chunk of a new one beside them. */
function trafficOf(model: MadeModel, type: StoredType, lengths: readonly number[]): PlanStep[] {
  const cols = model.plan.values[0]!.cols
  const step = (
    sequences: readonly { id: string; start: number; count: number }[],
    seed: number,
  ) => ({
    sequences: sequences.map(({ id, start, count }) => ({
      id,
      start,
      tokens: Array<number>(count).fill(1),
    })),
    sampleRows: [],
    values: {
      0: concatenate(
        sequences.map(({ count }, s) =>
          roundedNumbers(type, count * cols, { seed: seed * 100 + s, outlier: 4 }),
        ),
      ),
    },
  })
  const prompts = lengths.map((count, s) => ({ id: `${s}`, start: 0, count }))
  const decodes = lengths.map((start, s) => ({ id: `${s}`, start, count: 1 }))
  return [
    step(prompts, 1),
    step(decodes, 2),
    step(
      [{ id: 'new', start: 0, count: 21 }, ...decodes.map((d) => ({ ...d, start: d.start + 1 }))],
      3,
    ),
    step([{ id: 'new', start: 21, count: 50 }], 4),
  ]
}

// Queries, keys, weights and results are rounded to the type each; values reach about 10.
const ATTENTION_TOLERANCE = { float32: 3e-5, bfloat16: 1.5e-1, float16: 2e-2 }
// A number on the border between two codes may be stored as the other one.
const NEXT_CODE: Partial<Record<CacheType, number>> = { int8: 5e-2, fp8: 1e-1 }
// Half of that in the mean would not be chance: results average out.
const ATTENTION_MEAN = { float32: 2e-6, bfloat16: 1e-2, float16: 1.3e-3 }

function checkAttention(plan: Plan, type: StoredType, lengths: readonly number[], blockSize = 16) {
  const cacheType = (plan.caches[0] as TokenGroup).type
  const model = new MadeModel(plan)
  const steps = trafficOf(model, type, lengths)
  const output = plan.values.at(-1)!.id
  const results = model.run(steps, [output], { device: 'cuda', blockSize })
  const reference = model.reference
  steps.forEach((step, i) => {
    const given = new Map([[0, step.values![0]!]])
    const wanted = reference.run(step, given).get(output)!
    const found = results[i]!.values[output]!
    const slack = NEXT_CODE[cacheType] ?? 0
    expectClose(
      found,
      wanted,
      (value) => slack + ATTENTION_TOLERANCE[type] * (1 + Math.abs(value) / 8),
    )
    const errors = wanted.flatMap((row, r) =>
      [...row].map((x, c) => Math.abs(x - found[r * row.length + c]!)),
    )
    const mean = errors.reduce((a, b) => a + b, 0) / errors.length
    expect(mean, `step ${i}`).toBeLessThan(ATTENTION_MEAN[type])
  })
}

describe.skipIf(whyNotEmulated)('attention', () => {
  const tensor: readonly Shape[] = [
    { heads: 4, kvHeads: 2, headDim: 64, ropeDim: 64 },
    { heads: 3, kvHeads: 1, headDim: 80, ropeDim: 40 },
    { heads: 2, kvHeads: 2, headDim: 96, ropeDim: 96 },
    { heads: 8, kvHeads: 1, headDim: 128, ropeDim: 128 },
    { heads: 2, kvHeads: 1, headDim: 256, ropeDim: 64 },
  ]
  const general: readonly Shape[] = [
    { heads: 1, kvHeads: 1, headDim: 8, ropeDim: 8 },
    { heads: 6, kvHeads: 1, headDim: 40, ropeDim: 24 },
    { heads: 2, kvHeads: 1, headDim: 248, ropeDim: 120 },
  ]
  const cases = [
    ...tensor.map((shape) => ({ ...shape, type: 'bfloat16' as const })),
    { ...tensor[0]!, type: 'float16' as const },
    { ...tensor[0]!, type: 'float32' as const },
    ...TYPES.flatMap((type) => general.map((shape) => ({ ...shape, type }))),
  ]
  it.each(cases)('$type, $heads heads on $kvHeads of $headDim', ({ type, ...shape }) => {
    checkAttention(attentionPlan(shape, type), type, [1, 63, 130])
  })

  const bytes = [
    { ...tensor[0]!, type: 'bfloat16' as const },
    { ...tensor[1]!, type: 'float16' as const },
    { ...tensor[4]!, type: 'float16' as const },
    { ...general[1]!, type: 'float32' as const },
    { ...general[1]!, type: 'bfloat16' as const },
  ].flatMap((given) => (['int8', 'fp8'] as const).map((cacheType) => ({ ...given, cacheType })))
  it.each(bytes)(
    '$type over a cache of $cacheType, $heads heads on $kvHeads of $headDim',
    ({ type, ...shape }) => {
      checkAttention(attentionPlan(shape, type), type, [1, 63, 130])
    },
  )

  it.each([8, 16, 32])('blocks of %i tokens', (blockSize) => {
    checkAttention(attentionPlan(tensor[0]!, 'bfloat16'), 'bfloat16', [65], blockSize)
    checkAttention(attentionPlan(general[1]!, 'float16'), 'float16', [65], blockSize)
  })

  // With one token a block the scales of a layer leave the next one at an odd address.
  it.each([1, 3])('a second layer behind scales, blocks of %i tokens', (blockSize) => {
    const shape = { ...tensor[3]!, heads: 2, cacheType: 'int8' as const, layers: 2 }
    checkAttention(attentionPlan(shape, 'bfloat16'), 'bfloat16', [65], blockSize)
  })

  it('cuts a long context into parts', () => {
    checkAttention(attentionPlan(tensor[0]!, 'bfloat16'), 'bfloat16', [700])
    checkAttention(attentionPlan(general[0]!, 'float32'), 'float32', [300])
  })

  const features: Record<string, (g: PlanBuilder, heads: number) => Features> = {
    'a window': () => ({ window: 20 }),
    'a softcap': () => ({ softcap: 2 }),
    slopes: (_, heads) => ({ slopes: Array.from({ length: heads }, (_, h) => 2 ** (-1 - h)) }),
    sinks: (g, heads) => ({ sinks: g.vector({ sinks: heads }) }),
  }
  it.each(Object.keys(features))('with %s', (name) => {
    for (const [type, shape] of [
      ['float16', tensor[0]!],
      ['float32', general[1]!],
    ] as const) {
      const plan = attentionPlan(shape, type, (g) => features[name]!(g, shape.heads))
      checkAttention(plan, type, [1, 90, 300])
    }
  })

  it.each([...tensor, general[2]!])('with all of that, heads of $headDim', (shape) => {
    const plan = attentionPlan(shape, 'bfloat16', (g) =>
      Object.values(features).reduce((all, each) => ({ ...all, ...each(g, shape.heads) }), {}),
    )
    checkAttention(plan, 'bfloat16', [1, 50])
  })

  it.each(['rms', 'layer'] as const)('a norm (%s) over all of q and of k, and a clip', (norm) => {
    const shape = tensor[0]!
    for (const type of ['float32', 'float16'] as const) {
      const plan = attentionPlan(shape, type, undefined, (g) => ({
        clip: 3,
        qkNorm: {
          norm,
          eps: 1e-5,
          over: 'all',
          qWeight: g.vector({ q: shape.heads * shape.headDim }),
          kWeight: g.vector({ k: shape.kvHeads * shape.headDim }),
        },
      }))
      checkAttention(plan, type, [40])
    }
  })

  it.each(['before', 'after'])('norms of q and k %s an interleaved rope, and a clip', (when) => {
    const shape = tensor[0]!
    for (const type of ['float32', 'float16'] as const) {
      const plan = attentionPlan(shape, type, undefined, (g) => ({
        interleaved: true,
        clip: 3,
        qkNorm: {
          norm: when === 'after' ? 'rms' : 'layer',
          eps: 1e-5,
          over: 'head',
          afterRope: when === 'after',
          qWeight: g.vector({ q: shape.headDim }),
          kWeight: g.vector({ k: shape.headDim }),
        },
      }))
      checkAttention(plan, type, [40])
    }
  })
})

describe.skipIf(whyNotEmulated)('what is not supported', () => {
  it('is refused with its label', () => {
    const odd = attentionPlan({ heads: 1, kvHeads: 1, headDim: 20, ropeDim: 20 }, 'float32')
    expect(() => new MadeModel(odd).run([], [], { device: 'cuda' })).toThrow(
      /ropeStoreKv "rope 0": headDim 20: .*multiples of 8/,
    )
  })
})
