import { describe, expect, it } from 'vitest'
import { PlanBuilder, type ModuleParts } from '../lib/plan/builder.js'
import type { ActivationKind, StoredType } from '../lib/plan/ops.js'
import { expectClose } from './support/expect-close.js'
import { builder, expectAllSame, expectSameBits } from './support/kernels.js'
import { Reference } from './support/reference.js'
import {
  addon,
  fusedSets,
  MadeModel,
  normalNumbers,
  type NativeOptions,
} from './support/run-plan.js'

const TYPES: readonly StoredType[] = ['float32', 'bfloat16', 'float16']

/** Half a unit in the last place of 1 in float32: the relative error of one rounding. */
const ROUNDING = 2 ** -24

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
})
