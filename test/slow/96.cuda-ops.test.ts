import { whyNotEmulated } from '../support/emulated.js'
import { describe, expect, it } from 'vitest'
import { readResult } from '../../lib/native/native-executor.js'
import { PlanBuilder } from '../../lib/plan/builder.js'
import type { CacheType, Plan, QuantizedType, StoredType } from '../../lib/plan/ops.js'
import { expectClose } from '../support/expect-close.js'
import {
  MadeModel,
  normalNumbers,
  roundedNumbers,
  sameBits,
  type PlanStep,
} from '../support/run-plan.js'
import { EXPERTS, ROUTINGS } from '../support/routings.js'

const TYPES: readonly StoredType[] = ['float32', 'bfloat16', 'float16']

interface ExpertShape {
  readonly experts: number
  readonly topK: number
  readonly hidden: number
  readonly inner: number
  readonly biases?: boolean
  readonly form?: QuantizedType
}

/** The relative error of a few roundings to the type, of numbers near 1. */
const CLOSE = { float32: 2e-5, bfloat16: 3e-2, float16: 4e-3 }

const builder = (type: StoredType, cacheType: CacheType = type) =>
  new PlanBuilder({ name: 'cuda', vocabSize: 2, weightType: type, cacheType })

function stepOf(rows: number, values: PlanStep['values']): PlanStep {
  const tokens = Array<number>(rows).fill(1)
  return { sequences: [{ id: 'rows', start: 0, tokens }], sampleRows: [], values }
}

/** Each op that reads what others computed is compared on what the GPU gave them. */
function compare(plan: Plan, rows: number, given: Map<number, Float32Array>, error: number) {
  const model = new MadeModel(plan)
  const read = plan.values.map(({ id }) => id)
  const step = stepOf(rows, Object.fromEntries(given))
  const { values } = model.run([step], read, { device: 'cuda' })[0]!
  const found = new Map(read.map((id) => [id, values[id]!]))
  const wanted = model.reference.run(step, found)
  for (const { id } of plan.values) {
    if (given.has(id)) continue
    expectClose(found.get(id)!, wanted.get(id)!, (value) => error * Math.max(1, Math.abs(value)))
  }
}

describe.skipIf(whyNotEmulated)('route', () => {
  it.each(ROUTINGS)('%s', (_, routing, { bias = false } = {}) => {
    const g = builder('float32')
    const x = g.embed('x', g.matrix({ x: 2 }, EXPERTS))
    const addend = bias ? g.vector({ bias: EXPERTS }) : undefined
    g.route('route', x, { topK: 5, ...routing, bias: addend })
    const logits = normalNumbers(17 * EXPERTS, { seed: 3, outlier: 20 })
    compare(g.build(), 17, new Map([[0, logits]]), 4e-6)
  })

  it('takes the first of equal experts, and different ones where nothing is a number', () => {
    const g = builder('float32')
    g.route('route', g.embed('x', g.matrix({ x: 2 }, 6)), { topK: 3, groups: 2, topGroups: 1 })
    const logits = Float32Array.of(1, 2, 2, 0, 0, 1, ...Array<number>(6).fill(NaN))
    const model = new MadeModel(g.build())
    const [result] = model.run([stepOf(2, { 0: logits })], [1], { device: 'cuda' })
    const routes = result!.values[1]!
    expect([...routes.subarray(0, 3)]).toEqual([1, 2, 0])
    expect(new Set(routes.subarray(6, 9)).size).toBe(3)
  })
})

describe.skipIf(whyNotEmulated).each(TYPES)('%s: experts', (type) => {
  const shapes: ExpertShape[] = [
    { experts: 4, topK: 2, hidden: 40, inner: 33 },
    { experts: 7, topK: 3, hidden: 31, inner: 32 },
    { experts: 3, topK: 1, hidden: 64, inner: 16, biases: true },
    { experts: 5, topK: 2, hidden: 136, inner: 72, form: 'int8/32' },
    { experts: 3, topK: 2, hidden: 31, inner: 130, form: 'int4/32', biases: true },
    { experts: 130, topK: 3, hidden: 48, inner: 40, form: 'levels4/64' },
  ]
  it.each(shapes)('compute what the reference does: %o', (shape) => {
    const { experts, topK, hidden, inner, biases, form } = shape
    // Experts are the matrices that are codes; the router and the others are of the type.
    const g = new PlanBuilder({
      ...{ name: 'cuda', vocabSize: 2, cacheType: type },
      weightType: ([name]) => (form && /\.\d+$/.test(name!) ? form : type),
    })
    const x = g.embed('x', g.matrix({ x: 2 }, hidden))
    const router = g.linear('router', x, { weight: g.matrix({ router: experts }, hidden) })
    const routes = g.route('route', router, { topK })
    const layer = (name: string, rows: number, columns: number) => ({
      weights: Array.from({ length: experts }, (_, e) =>
        g.matrix({ [`${name}.${e}`]: rows }, columns),
      ),
      biases: biases
        ? Array.from({ length: experts }, (_, e) => g.vector({ [`${name}.${e}.bias`]: rows }))
        : undefined,
    })
    let y = g.expertLinear('in', x, routes, { ...layer('in', 2 * inner, hidden), split: false })
    const activation = biases ? 'clampedSwiglu' : 'silu'
    y = g.activation('act', y, { activation, gated: true, parts: topK })
    y = g.expertLinear('out', y, routes, { ...layer('out', hidden, inner), split: true })
    const linear = (name: string, rows: number) =>
      g.linear(name, x, { weight: g.matrix({ [name]: rows }, hidden) })
    const shared = biases ? undefined : linear('shared', hidden)
    g.combineExperts('sum', y, routes, { shared, gate: shared && linear('gate', 1) })
    for (const rows of [1, 2, experts > 100 ? 160 : 60]) {
      const input = roundedNumbers(type, rows * hidden, { seed: 5, deviation: hidden ** -0.5 })
      // Values reach about 8, whose units in the last place are eight times those of 1.
      compare(g.build(), rows, new Map([[0, input]]), 4 * CLOSE[type])
    }
  })

  it.each([1, 5, 130])('of heads have a matrix each, %i rows', (rows) => {
    const g = builder(type)
    const weights = [0, 1, 2].map((h) => g.matrix({ [`h${h}`]: 24 }, 16))
    g.headLinear('heads', g.embed('x', g.matrix({ x: 2 }, 56)), weights)
    const input = roundedNumbers(type, rows * 56, { deviation: 0.25 })
    compare(g.build(), rows, new Map([[0, input]]), CLOSE[type])
  })
})

interface LatentShape {
  readonly type: StoredType
  readonly cacheType: CacheType
  readonly rank: number
  readonly turned: number
  readonly heads: number
}
type Features = Partial<Parameters<PlanBuilder['pagedAttention']>[2]>

/** Values 0 to 2 are positions, queries and latent rows. */
function latentPlan(shape: LatentShape, features: (g: PlanBuilder) => Features = () => ({})): Plan {
  const { type, cacheType, rank, turned, heads } = shape
  const g = builder(type, cacheType)
  const positions = g.embed('p', g.matrix({ p: 2 }, heads * turned + 8))
  const input = g.embed('q', g.matrix({ q: 2 }, heads * rank))
  const latent = g.embed('l', g.matrix({ l: 2 }, rank + turned))
  const group = g.cache({
    ...{ name: 'kv', layers: 1, kvHeads: 1, latent: true },
    ...{ keyDim: rank + turned, valueDim: rank },
  })
  const invFreq = Array.from({ length: turned / 2 }, (_, i) => 100 ** ((-2 * i) / turned))
  const rope = g.rope({ dim: turned, invFreq, scale: 1, interleaved: true })
  const shared = { group, layer: 0, heads }
  const weight = g.vector({ norm: rank })
  const q = g.storeLatent('store', input, {
    ...{ ...shared, positions, latent, rope, weight, eps: 1e-6 },
  })
  g.pagedAttention('attention', q, { ...shared, scale: 0.1, ...features(g) })
  return g.build()
}

/** A prompt, a row that decodes, and a chunk. */
function checkLatent(plan: Plan, { type, cacheType }: LatentShape, prompt: number, blockSize = 16) {
  const model = new MadeModel(plan)
  const values = (rows: number, seed: number) =>
    Object.fromEntries(
      [0, 1, 2].map((id) => {
        const given = { seed: seed + id, deviation: 0.5 }
        return [id, roundedNumbers(type, rows * plan.values[id]!.cols, given)]
      }),
    )
  const step = (start: number, count: number): PlanStep => ({
    sequences: [{ id: 'a', start, tokens: Array<number>(count).fill(1) }],
    sampleRows: [],
    values: values(count, start + 1),
  })
  const steps = [step(0, prompt), step(prompt, 1), step(prompt + 1, 5)]
  const out = plan.values.at(-1)!.id
  const results = model.run(steps, [out], { device: 'cuda', blockSize })
  const { reference } = model
  const slack = { int8: 3e-2, fp8: 1e-1 }[cacheType as string] ?? 0
  steps.forEach((given, i) => {
    const known = new Map(Object.entries(given.values!).map(([id, x]) => [Number(id), x]))
    const wanted = reference.run(given, known).get(out)!
    expectClose(
      results[i]!.values[out]!,
      wanted,
      (value) => slack + CLOSE[type] * (1 + Math.abs(value)),
    )
  })
}

describe.skipIf(whyNotEmulated)('latent attention', () => {
  // 512 and 64 columns of 16 bits go through tensor cores, 16 heads a block.
  const general: LatentShape = {
    ...({ type: 'float32', cacheType: 'float32' } as const),
    ...{ rank: 32, turned: 8, heads: 3 },
  }
  const tensor: LatentShape = {
    ...({ type: 'bfloat16', cacheType: 'bfloat16' } as const),
    ...{ rank: 512, turned: 64, heads: 3 },
  }
  const kinds: LatentShape[] = [
    ...[general, tensor],
    { ...tensor, type: 'float16', cacheType: 'float16', heads: 20 },
    { ...tensor, cacheType: 'int8' },
    { ...general, type: 'float16', cacheType: 'int8', rank: 40, turned: 16 },
    { ...general, cacheType: 'fp8', rank: 40, turned: 16 },
  ]
  it.each(kinds)(
    '$type over rows of $cacheType, $rank and $turned columns, $heads heads',
    (shape) => {
      checkLatent(latentPlan(shape), shape, 37)
    },
  )

  it.each([8, 32])('blocks of %i tokens', (blockSize) => {
    for (const shape of [general, tensor]) checkLatent(latentPlan(shape), shape, 33, blockSize)
  })

  it('cuts a long context into parts', () => {
    checkLatent(latentPlan(general), general, 300)
    checkLatent(latentPlan(tensor), tensor, 150)
  })

  const features: Record<string, (g: PlanBuilder) => Features> = {
    'a window': () => ({ window: 20 }),
    'a softcap': () => ({ softcap: 2 }),
    slopes: () => ({ slopes: [0.5, 0.25, 0.125] }),
    sinks: (g) => ({ sinks: g.vector({ sinks: 3 }) }),
  }
  it.each(Object.keys(features))('with %s', (name) => {
    for (const shape of [general, tensor]) checkLatent(latentPlan(shape, features[name]), shape, 45)
  })
})

const WIDTH = 4
const COLUMNS = 70
const TOKENS = 24

describe.skipIf(whyNotEmulated)('shortConv', () => {
  it.each(TYPES)('of %s computes in chunks what the reference does at once', (type) => {
    const g = new PlanBuilder({ name: 'c', vocabSize: 2, weightType: type, cacheType: 'float32' })
    const input = g.embed('input', g.matrix({ table: 2 }, 3 * COLUMNS))
    const group = g.stateCache({ name: 's', layers: 2, elements: (WIDTH - 1) * COLUMNS })
    const outputs = [0, 1].map((layer) => {
      const weight = g.vector({ [`kernel.${layer}`]: COLUMNS * WIDTH })
      const bias = layer === 0 ? g.vector({ bias: COLUMNS }) : undefined
      return g.shortConv(`conv.${layer}`, input, { weight, bias, width: WIDTH, group, layer }).id
    })
    const model = new MadeModel(g.build())
    const rows = roundedNumbers(type, TOKENS * 3 * COLUMNS, { seed: 3 })
    const step = (start: number, count: number): PlanStep => ({
      sequences: [{ id: 'a', start, tokens: Array<number>(count).fill(1) }],
      sampleRows: [],
      values: { 0: rows.subarray(start * 3 * COLUMNS, (start + count) * 3 * COLUMNS) },
    })
    const wanted = model.reference.run(step(0, TOKENS), new Map([[0, rows]]))
    let whole: Float32Array[] | undefined
    for (const sizes of [[TOKENS], [1, WIDTH - 1, WIDTH, WIDTH + 1, 1, 1, WIDTH - 2, 7]]) {
      const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + size, 0))
      const results = model.run(
        sizes.map((size, i) => step(starts[i]!, size)),
        outputs,
        { device: 'cuda' },
      )
      const found = outputs.map((id) =>
        Float32Array.from(results.flatMap(({ values }) => [...values[id]!])),
      )
      outputs.forEach((id, i) =>
        expectClose(found[i]!, wanted.get(id)!, (value) => CLOSE[type] * (1 + Math.abs(value))),
      )
      whole ??= found
      found.forEach((numbers, i) => expect(sameBits(numbers, whole![i]!)).toBe(true))
    }
  })
})

describe.skipIf(whyNotEmulated)('pool', () => {
  const g = builder('float32')
  g.pool('pool', g.embed('input', g.matrix({ table: 2 }, COLUMNS)))
  const model = new MadeModel(g.build())
  const rows = normalNumbers(TOKENS * COLUMNS, { seed: 3 })

  function sum(first: number, last: number, carried?: Float32Array): Float32Array {
    const step: PlanStep = {
      ...stepOf(TOKENS, { 0: rows }),
      pools: [[first, last - first, carried ? 0 : -1]] as const,
      ...(carried ? { carried } : {}),
    }
    const [result] = model.run([step], [], { device: 'cuda' })
    return readResult(result!.ints, result!.floats).pooled!
  }

  it('adds up rows, and carries a sum on', () => {
    const all = sum(0, TOKENS)
    for (let c = 0; c < COLUMNS; c++) {
      let expected = 0
      for (let t = 0; t < TOKENS; t++) expected += rows[t * COLUMNS + c]!
      expect(all[c]).toBeCloseTo(expected, 4)
    }
    for (const cut of [1, 13]) expect(sameBits(sum(cut, TOKENS, sum(0, cut)), all)).toBe(true)
  })
})
