import { describe, expect, it } from 'vitest'
import { PlanBuilder, type ModuleParts } from '../lib/plan/builder.js'
import type { ActivationKind, CacheType, Plan, StoredType } from '../lib/plan/ops.js'
import { expectClose } from './support/expect-close.js'
import { Reference } from './support/reference.js'
import {
  addon,
  concatenate,
  fusedSets,
  MadeModel,
  normalNumbers,
  sameBits,
  type NativeOptions,
} from './support/run-plan.js'

const TYPES: readonly StoredType[] = ['float32', 'bfloat16', 'float16']

/** How keys and values are kept, and whether queries and weights are rounded to the same. */
interface CacheKind {
  readonly type: CacheType
  readonly rounds: boolean
}
const EXACT_CACHES = [...TYPES, 'int8', 'fp8'].map((type) => ({ type, rounds: false }))
const CACHES = [...EXACT_CACHES, { type: 'bfloat16', rounds: true }] as readonly CacheKind[]

/** Half a unit in the last place of 1 in float32: the relative error of one rounding. */
const ROUNDING = 2 ** -24

const builder = (
  weightType: StoredType = 'float32',
  cacheType: CacheType = 'float32',
  roundsInputs = false,
) => new PlanBuilder({ name: 'kernels', vocabSize: 2, weightType, cacheType, roundsInputs })

/** A sequence of so many rows whose token ids do not matter. */
const rowsOf = (rows: number) => [{ id: 'rows', start: 0, tokens: Array<number>(rows).fill(1) }]

/** The first `rows` of a plan's last value, with the first value given. */
function run(model: MadeModel, input: Float32Array, rows: number, options: NativeOptions) {
  const cols = model.plan.values[0]!.cols
  const output = model.plan.values.at(-1)!.id
  const values = { 0: input.subarray(0, rows * cols) }
  const steps = [{ sequences: rowsOf(rows), sampleRows: [], values }]
  return model.run(steps, [output], options)[0]!.values[output]!
}

function expected(model: MadeModel, input: Float32Array, rows: number): Float64Array[] {
  const given = new Map([[0, input]])
  const step = { sequences: rowsOf(rows), sampleRows: [] }
  return model.reference.run(step, given).get(model.plan.values.at(-1)!.id)!
}

function expectSameBits(found: Float32Array, wanted: Float32Array, what: string) {
  expect(sameBits(found, wanted), what).toBe(true)
}

describe.each(addon.instructionSets)('%s: linear', (isa) => {
  const shapes = [
    { k: 1, n: 1 },
    { k: 3, n: 31 },
    { k: 64, n: 32 },
    { k: 65, n: 33 },
    { k: 127, n: 100 },
    { k: 40, n: 257 },
  ]
  const cases = [
    ...TYPES.map((type) => ({ type, rounds: false })),
    { type: 'bfloat16', rounds: true },
  ] as const
  const shapeCases = cases.flatMap((form) => shapes.map((shape) => ({ ...form, ...shape })))

  it.each(shapeCases)(
    '$type, inputs rounded: $rounds, $k × $n, from 1 to 70 rows',
    ({ type, rounds, k, n }) => {
      const rows = 70
      const g = builder(type, 'float32', rounds)
      const x = g.embed('x', g.matrix({ x: 2 }, k))
      const parts: ModuleParts = n > 2 ? { a: 1, b: n - 2, c: 1 } : { a: n }
      g.linear('y', x, g.modules('m', parts, { columns: k, bias: true }))
      const model = new MadeModel(g.build())
      const input = normalNumbers(rows * k, { outlier: 1000 })

      const all = run(model, input, rows, { isa, threads: 2 })
      // A chain of k multiply-adds: each rounds the sum once (twice without a fused one), so it is off
      // by at most k + 1 roundings of the sum of the magnitudes. Of a million numbers few come close.
      const magnitudes = sumOfMagnitudes(model, input, rows)
      expectClose(
        all,
        expected(model, input, rows),
        (_, r, c) => (k + 2) * ROUNDING * magnitudes[r]![c]!,
      )
      for (const few of [1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 24, 25, 47, 48, 69]) {
        const found = run(model, input, few, { isa, threads: few % 3 === 0 ? 3 : 1 })
        expectSameBits(found, all.subarray(0, few * n), `${few} rows`)
      }
      const last = run(model, input.subarray((rows - 1) * k), 1, { isa })
      expect(last, 'the last row alone').toEqual(all.subarray((rows - 1) * n))
    },
  )

  it('cuts many rows and columns into blocks without a seam', () => {
    const [rows, k, n] = [500, 5, 600]
    const g = builder('bfloat16')
    g.linear('y', g.embed('x', g.matrix({ x: 2 }, k)), { weight: g.matrix({ w: n }, k) })
    const model = new MadeModel(g.build())
    const input = normalNumbers(rows * k)
    const found = run(model, input, rows, { isa, threads: 3 })
    expectClose(found, expected(model, input, rows), () => 1e-5)
  })

  it('rounds inputs halfway between two bfloat16 numbers to the even one', () => {
    const [rows, n] = [64, 33]
    const g = builder('bfloat16', 'float32', true)
    g.linear('y', g.embed('x', g.matrix({ x: 2 }, 1)), { weight: g.matrix({ w: n }, 1) })
    const model = new MadeModel(g.build())
    const bits = new Uint32Array(normalNumbers(rows).buffer)
    const input = new Float32Array(bits.map((word) => (word & 0xffff0000) | 0x8000).buffer)
    const found = run(model, input, rows, { isa })
    // The product of two bfloat16 numbers is exact.
    expectClose(found, expected(model, input, rows), () => 0)
  })
})

/** Per output, the sum of |input × weight| and of the bias. */
function sumOfMagnitudes(model: MadeModel, input: Float32Array, rows: number): Float64Array[] {
  const { plan, tensors } = model.reference
  const magnitudes = new Reference(plan, (name) => Array.from(tensors(name), Math.abs))
  const given = new Map([[0, input.map(Math.abs)]])
  const values = magnitudes.run({ sequences: rowsOf(rows), sampleRows: [] }, given)
  return values.get(plan.values.at(-1)!.id)!
}

describe.each(addon.instructionSets)('%s: rows on their own', (isa) => {
  const widths = [1, 7, 16, 33, 130]

  it.each(widths)('norm of %i columns, with and without mean, residual and bias', (cols) => {
    for (const norm of ['rms', 'layer'] as const) {
      const g = builder()
      const x = g.embed('x', g.matrix({ x: 2 }, cols))
      const residual = g.embed('r', g.matrix({ r: 2 }, cols))
      const weight = g.vector({ w: cols })
      const bias = norm === 'layer' ? g.vector({ b: cols }) : undefined
      g.norm('y', x, { norm, eps: 1e-5, residual, weight, bias })
      const model = new MadeModel(g.build())
      const [xs, rs] = [5, 6].map((seed) => normalNumbers(9 * cols, { seed, outlier: 100 }))
      const values = { 0: xs!, 1: rs! }
      const steps = [{ sequences: rowsOf(9), sampleRows: [], values }]
      const found = model.run(steps, [1, 2], { isa, threads: 2 })[0]!.values
      const wanted = model.reference.run(
        { sequences: rowsOf(9), sampleRows: [] },
        new Map([
          [0, xs!],
          [1, rs!],
        ]),
      )
      expectClose(found[1]!, wanted.get(1)!, (value) => Math.abs(value) * ROUNDING)
      // Subtracting the mean of outliers leaves the error of numbers up to 100 in all the others;
      // a lone column is its own mean and shows eps alone.
      expectClose(found[2]!, wanted.get(2)!, (value) => 1e-6 + Math.abs(value) * 2e-6)
    }
  })

  const activations = (['silu', 'gelu', 'geluTanh', 'relu'] as ActivationKind[]).flatMap(
    (activation) => [true, false].map((gated) => ({ activation, gated })),
  )
  it.each(activations)('$activation, gated: $gated', ({ activation, gated }) => {
    const g = builder()
    const x = g.embed('x', g.matrix({ x: 2 }, 34))
    g.activation('y', x, { activation, gated })
    const model = new MadeModel(g.build())
    const input = normalNumbers(40 * 34, { deviation: 3, outlier: 30 })
    input.set([0, -0, 1e-30, -1e-30, 87, -87, 89, -89, 1000, -1000, -5, 5], 0)
    const found = run(model, input, 40, { isa, threads: 2 })
    // A few roundings of e^u, which is off by |u| roundings of its argument. The reference itself
    // is: its 1 + erf and 1 + tanh cancel down to 1e-16, times a gated input of a hundred or so.
    const tolerance = (value: number) => Math.abs(value) * 5e-6 + 1e-13
    expectClose(found, expected(model, input, 40), tolerance)
  })

  it('embeds and gathers rows as they are stored', () => {
    for (const type of TYPES) {
      const g = new PlanBuilder({ name: 'g', vocabSize: 70, weightType: type, cacheType: type })
      g.gatherRows('y', g.embed('x', g.matrix({ x: 41, y: 29 }, 19), 0.5))
      const model = new MadeModel(g.build())
      const tokens = [69, 0, 31, 32, 33, 40, 41, 1]
      const step = { sequences: [{ id: 'a', start: 0, tokens }], sampleRows: [7, 0, 0, 3] }
      const found = model.run([step], [0, 1], { isa, threads: 2 })[0]!.values
      const wanted = model.reference.run(step)
      for (const id of [0, 1]) expectClose(found[id]!, wanted.get(id)!, () => 0)
    }
  })
})

interface Heads {
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly ropeDim: number
}

/** Rotary embedding, cache and attention of two layers; value 0 is q, k and v of the first. */
function attentionPlan({ heads, kvHeads, headDim, ropeDim }: Heads, cache: CacheKind): Plan {
  const g = builder('float32', cache.type, cache.rounds)
  const group = g.cache({ name: 'kv', layers: 2, kvHeads, keyDim: headDim, valueDim: headDim })
  const invFreq = Array.from({ length: ropeDim / 2 }, (_, i) => 100 ** (-2 * (i / ropeDim)))
  const dynamic = { base: 100, factor: 2, original: 300 }
  const rope = ropeDim > 0 ? g.rope({ dim: ropeDim, scale: 1.25, invFreq, dynamic }) : undefined
  const scale = headDim ** -0.5
  const cols = (heads + 2 * kvHeads) * headDim
  const qkv = g.embed('qkv', g.matrix({ x: 2 }, cols))
  const q0 = g.ropeStoreKv('rope 0', qkv, { group, layer: 0, heads, rope })
  g.ropeStoreKv('rope 1', qkv, { group, layer: 1, heads })
  g.pagedAttention('attention', q0, { group, layer: 0, heads, scale })
  return g.build()
}

const attentionOutput = 3
const shapes: readonly Heads[] = [
  { heads: 1, kvHeads: 1, headDim: 8, ropeDim: 8 },
  { heads: 6, kvHeads: 2, headDim: 20, ropeDim: 12 },
  { heads: 5, kvHeads: 1, headDim: 33, ropeDim: 0 },
  { heads: 3, kvHeads: 3, headDim: 64, ropeDim: 64 },
]

/** Steps that give sequence `id` its rows in chunks of `sizes`, the last size repeated. */
function chunked(id: string, rows: Float32Array, cols: number, sizes: readonly number[]) {
  const steps = []
  const length = rows.length / cols
  for (let start = 0, i = 0; start < length; i++) {
    const count = Math.min(sizes[Math.min(i, sizes.length - 1)]!, length - start)
    const tokens = Array<number>(count).fill(1)
    const values = { 0: rows.subarray(start * cols, (start + count) * cols) }
    steps.push({ sequences: [{ id, start, tokens }], sampleRows: [], values })
    start += count
  }
  return steps
}

/** Attention of all rows of a sequence, whatever steps they came in. */
function attend(
  model: MadeModel,
  rows: Float32Array,
  sizes: readonly number[],
  options: NativeOptions,
): Float32Array {
  const steps = chunked('a', rows, model.plan.values[0]!.cols, sizes)
  const results = model.run(steps, [attentionOutput], options)
  return concatenate(results.map(({ values }) => values[attentionOutput]!))
}

type AttentionCase = Heads & CacheKind
const attentionCases: readonly AttentionCase[] = shapes.flatMap((shape) =>
  CACHES.map((cache) => ({ ...shape, ...cache })),
)

/** A sequence, and what float64 makes of it: the same for every instruction set. */
function attentionRun({ type, rounds, ...shape }: AttentionCase) {
  const model = new MadeModel(attentionPlan(shape, { type, rounds }))
  const cols = model.plan.values[0]!.cols
  const rows = normalNumbers(530 * cols, { outlier: 20 })
  const step = chunked('a', rows, cols, [530])[0]!
  return { model, step, wanted: model.reference.run(step, new Map([[0, rows]])) }
}
const attentionRuns = new Map<AttentionCase, ReturnType<typeof attentionRun>>()

describe.each(addon.instructionSets)('%s: rotary embedding and attention', (isa) => {
  it.each(attentionCases)(
    '$heads heads on $kvHeads of $headDim, cache $type, rounded: $rounds: is right at every position',
    (attentionCase) => {
      const { type, rounds } = attentionCase
      const made = attentionRuns.get(attentionCase) ?? attentionRun(attentionCase)
      attentionRuns.set(attentionCase, made)
      const { model, step, wanted } = made
      const found = model.run([step], [1, attentionOutput], { isa, threads: 2 })[0]!.values
      // The angle is the same float32 in both, its cosine and sine are rounded once.
      expectClose(found[1]!, wanted.get(1)!, (value) => 1e-5 + Math.abs(value) * 1e-6)
      // Scores reach 100, where float32 is off by 4e-6 and the weights by as much; values reach 60.
      // A key on the border between two numbers of a smaller cache may be stored as the other one.
      const tolerance = { float32: 1e-3, bfloat16: 4e-1, float16: 6e-2, int8: 1, fp8: 4 }[type]
      // A rounded weight is off by 1/512 at the most, most weights by less, and values reach 60.
      const usual = rounds ? 0.05 : 1e-3
      const differences = largeDifferences(found[attentionOutput]!, wanted, usual)
      expect(differences).toBeLessThanOrEqual(type === 'float32' ? 0 : 0.01)
      expectClose(found[attentionOutput]!, wanted.get(attentionOutput)!, () => tolerance)
    },
  )

  function largeDifferences(
    found: Float32Array,
    wanted: ReadonlyMap<number, Float64Array[]>,
    limit: number,
  ): number {
    const all = wanted.get(attentionOutput)!.flatMap((row) => [...row])
    return all.filter((value, i) => Math.abs(value - found[i]!) > limit).length / all.length
  }

  it.each(attentionCases)(
    '$heads heads on $kvHeads of $headDim, cache $type, rounded: $rounds: gives the same bits in any company',
    ({ type, rounds, ...shape }) => {
      const model = new MadeModel(attentionPlan(shape, { type, rounds }))
      const cols = model.plan.values[0]!.cols
      const rows = normalNumbers(530 * cols, { outlier: 20 })
      const whole = attend(model, rows, [530], { isa })
      for (const blockSize of [1, 8, 12, 32, 64]) {
        expectSameBits(
          attend(model, rows, [530], { isa, blockSize }),
          whole,
          `blocks of ${blockSize}`,
        )
      }
      for (const threads of [2, 3]) {
        expectSameBits(attend(model, rows, [530], { isa, threads }), whole, `${threads} threads`)
      }
      for (const sizes of [[500, 1], [255, 1, 1, 17], [100], [256], [7, 300]]) {
        const found = attend(model, rows, sizes, { isa, threads: 3 })
        expectSameBits(found, whole, `chunks of ${sizes.join()}`)
      }
    },
  )

  const inBFloat16 = CACHES.filter(({ type }) => type === 'bfloat16')

  it.each(inBFloat16)(
    'gives each sequence of a mixed step what it gets alone, rounded: $rounds',
    (cache) => {
      const model = new MadeModel(attentionPlan(shapes[1]!, cache))
      const cols = model.plan.values[0]!.cols
      const lengths = [1, 300, 16, 17, 513]
      const all = lengths.map((length, s) => normalNumbers(length * cols, { seed: 10 + s }))
      const alone = all.map((rows) => attend(model, rows, [rows.length], { isa }))

      // First all but the last token of each; then a step with a decode of every sequence but the
      // first, which arrives as a prompt.
      const part = (from: (length: number) => number, to: (length: number) => number) => {
        const sequences = lengths
          .map((length, s) => ({ id: `${s}`, start: from(length), end: to(length) }))
          .filter(({ start, end }) => end > start)
        const rows = sequences.map(({ id, start, end }) =>
          all[Number(id)]!.subarray(start * cols, end * cols),
        )
        return {
          sequences: sequences.map(({ id, start, end }) => ({
            id,
            start,
            tokens: Array<number>(end - start).fill(1),
          })),
          sampleRows: [],
          values: { 0: concatenate(rows) },
        }
      }
      const steps = [
        part(
          () => 0,
          (n) => n - 1,
        ),
        part(
          (n) => n - 1,
          (n) => n,
        ),
      ]
      const [, last] = model.run(steps, [attentionOutput], { isa, threads: 2 })
      const width = model.plan.values[attentionOutput]!.cols
      alone.forEach((rows, s) => {
        const found = last!.values[attentionOutput]!.subarray(s * width, (s + 1) * width)
        expectSameBits(found, rows.subarray(rows.length - width), `sequence ${s}`)
      })
    },
  )

  it.each(inBFloat16)(
    'gives the largest of huge scores all the weight, rounded: $rounds',
    (cache) => {
      const model = new MadeModel(attentionPlan(shapes[3]!, cache))
      const cols = model.plan.values[0]!.cols
      const rows = normalNumbers(40 * cols).map((x) => x * 1e6)
      const [step] = chunked('a', rows, cols, [40])
      const found = model.run([step!], [attentionOutput], { isa })[0]!.values[attentionOutput]!
      const wanted = model.reference.run(step!, new Map([[0, rows]])).get(attentionOutput)!
      expectClose(found, wanted, (value) => Math.abs(value) * 1e-6)
    },
  )

  it.each(CACHES)(
    'is not touched by what a block held before, nor by later tokens: $type, rounded: $rounds',
    (cache) => {
      const model = new MadeModel(attentionPlan(shapes[3]!, cache))
      const cols = model.plan.values[0]!.cols
      const rows = normalNumbers(40 * cols)
      const fresh = attend(model, rows, [40], { isa })
      const poisoned = rows.map((x, i) => (i >= 21 * cols ? NaN : x))
      const [bad] = chunked('a', poisoned, cols, [40])
      const steps = [bad!, ...chunked('a', rows, cols, [9, 12, 19])]
      const [first, ...rest] = model.run(steps, [attentionOutput], { isa, threads: 2 })
      const width = model.plan.values[attentionOutput]!.cols
      const before = first!.values[attentionOutput]!.subarray(0, 21 * width)
      expectSameBits(before, fresh.subarray(0, 21 * width), 'rows before the first NaN')
      const again = concatenate(rest.map(({ values }) => values[attentionOutput]!))
      expectSameBits(again, fresh, 'the blocks used again')
    },
  )
})

it('gives the same bits with rounded inputs on every instruction set', () => {
  const g = builder('bfloat16', 'float32', true)
  g.linear('y', g.embed('x', g.matrix({ x: 2 }, 65)), { weight: g.matrix({ w: 66 }, 65) })
  const model = new MadeModel(g.build())
  // Products of bfloat16 numbers are exact in float32: fused or not, an addition rounds once.
  const input = normalNumbers(20 * 65, { outlier: 1000 })
  const [first, ...others] = addon.instructionSets.map((isa) => run(model, input, 20, { isa }))
  for (const found of others) expectSameBits(found, first!, 'an instruction set')
})

it('keeps a row of NaN and infinity to itself, inputs rounded', () => {
  const g = builder('bfloat16', 'float32', true)
  g.linear('y', g.embed('x', g.matrix({ x: 2 }, 33)), { weight: g.matrix({ w: 40 }, 33) })
  const model = new MadeModel(g.build())
  for (const isa of addon.instructionSets) {
    const input = normalNumbers(3 * 33)
    const clean = run(model, input, 3, { isa })
    input.set([NaN, Infinity], 33)
    const found = run(model, input, 3, { isa })
    expect(
      found.subarray(40, 80).every((x) => Number.isNaN(x)),
      isa,
    ).toBe(true)
    for (const row of [0, 2])
      expectSameBits(
        found.subarray(row * 40, row * 40 + 40),
        clean.subarray(row * 40, row * 40 + 40),
        isa,
      )
  }
})

describe.runIf(fusedSets.length > 1)('instruction sets that fuse multiply-adds', () => {
  it('give the same bits', () => {
    for (const shape of [shapes[1]!, shapes[2]!]) {
      for (const cache of CACHES) {
        const attention = new MadeModel(attentionPlan(shape, cache))
        const rows = normalNumbers(300 * attention.plan.values[0]!.cols)
        const what = `attention over ${cache.type}, rounded: ${cache.rounds}`
        expectAllSame(what, (isa) => attend(attention, rows, [300], { isa }))
      }
    }

    const g = builder('bfloat16')
    const y = g.linear('y', g.embed('x', g.matrix({ x: 2 }, 65)), {
      weight: g.matrix({ w: 66 }, 65),
    })
    const normed = g.norm('n', y, { norm: 'layer', eps: 1e-5 })
    g.activation('a', normed, { activation: 'gelu', gated: true })
    const model = new MadeModel(g.build())
    const input = normalNumbers(20 * 65)
    expectAllSame('linear, norm and activation', (isa) => run(model, input, 20, { isa }))
  })

  function expectAllSame(what: string, compute: (isa: string) => Float32Array) {
    const [first, ...others] = fusedSets.map(compute)
    others.forEach((found, i) => expectSameBits(found, first!, `${fusedSets[i + 1]}: ${what}`))
  }
})
