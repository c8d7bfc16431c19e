import { describe, expect, it } from 'vitest'
import { type ModuleParts, PlanBuilder } from '../lib/plan/builder.js'
import type { QuantizedType } from '../lib/plan/ops.js'
import { quantizationOf } from '../lib/plan/size.js'
import { expectClose } from './support/expect-close.js'
import { requantized } from './support/quantize.js'
import {
  addon,
  fusedSets,
  MadeModel,
  normalNumbers,
  randomNumbers,
  sameBits,
} from './support/run-plan.js'
import type { NativeOptions } from './support/run-plan.js'

const FORMS: readonly QuantizedType[] = [
  'int16',
  'int8',
  'int8/16',
  'int8/32',
  'int8/64',
  'int8/128',
  'int4',
  'int4/16',
  'int4/32',
  'int4/64',
  'int4/128',
  'levels4/16',
  'levels4/32',
  'levels4/64',
  'levels4/128',
]
const SHAPES = [
  { k: 1, n: 1 },
  { k: 7, n: 31 },
  { k: 32, n: 32 },
  { k: 130, n: 33 },
  { k: 296, n: 100 },
]
const ROWS = 40 // more than LinearCodes::kRowsToOpen
const VOCABULARY = 19

/** Columns of the inputs that share a scale. */
const inputGroup = (form: QuantizedType) => quantizationOf(form)!.group ?? 32

/** The code of a group's largest input. */
const largestCode = (form: QuantizedType) => (form === 'int16' ? 4095 : 127)

const rowsOf = (rows: number) => [{ id: 'rows', start: 0, tokens: Array<number>(rows).fill(1) }]

function linearModel(form: QuantizedType, k: number, n: number): MadeModel {
  const g = new PlanBuilder({
    name: 'quantized',
    vocabSize: 2,
    weightType: (_, use) => (use === 'table' ? 'float32' : form),
    cacheType: 'float32',
  })
  const parts: Record<string, number> = n > 2 ? { a: 1, b: n - 2, c: 1 } : { a: n }
  const x = g.embed('x', g.table({ x: 2 }, k))
  g.linear('y', x, g.modules('m', parts, { columns: k, bias: true }))
  return new MadeModel(g.build(), { outlier: 20 })
}

/** Products of what a norm and a gated activation give. */
function feedForwardModel(form: QuantizedType): MadeModel {
  const [k, inner] = [96, 160]
  const g = new PlanBuilder({
    name: 'quantized',
    vocabSize: VOCABULARY,
    weightType: (_, use) => (use === 'table' ? 'float32' : form),
    cacheType: 'float32',
  })
  const matrix = (name: string, parts: ModuleParts, columns: number) =>
    g.modules(name, parts, { columns, bias: false })
  const x = g.embed('x', g.table({ x: VOCABULARY }, k))
  const normed = g.norm('norm', x, { norm: 'rms', eps: 1e-5 })
  const up = g.linear('up', normed, matrix('up', { gate: inner, up: inner }, k))
  const active = g.activation('act', up, { activation: 'silu', gated: true })
  const down = g.linear('down', active, matrix('down', { down: k }, inner))
  const last = g.norm('last', down, { norm: 'rms', eps: 1e-5, residual: x })
  const rows = g.gatherRows('rows', last)
  g.sample('sample', g.linear('head', rows, matrix('head', { head: VOCABULARY }, k)))
  return new MadeModel(g.build())
}

function run(model: MadeModel, input: Float32Array, rows: number, options: NativeOptions) {
  const cols = model.plan.values[0]!.cols
  const values = { 0: input.subarray(0, rows * cols) }
  const steps = [{ sequences: rowsOf(rows), sampleRows: [], values }]
  return model.run(steps, [1], options)[0]!.values[1]!
}

function expected(model: MadeModel, input: Float32Array) {
  const step = { sequences: rowsOf(ROWS), sampleRows: [] }
  return model.reference.run(step, new Map([[0, input]])).get(1)!
}

/** The magnitudes of each row's weights, as they were quantised. */
function magnitudesOf(model: MadeModel): Float64Array[] {
  const weight = model.plan.weights.find(({ shape }) => shape.length === 2 && shape[0] !== 2)!
  const cols = weight.shape[1]!
  const source = weight.sources.flatMap(({ name }) => Array.from(model.reference.tensors(name)))
  const all = requantized(weight.type as QuantizedType, source, cols).map(Math.abs)
  return Array.from({ length: weight.shape[0]! }, (_, row) =>
    all.subarray(row * cols, (row + 1) * cols),
  )
}

describe.each(addon.instructionSets)('%s: products of codes', (isa) => {
  const cases = FORMS.flatMap((form) => SHAPES.map((shape) => ({ form, ...shape })))

  it.each(cases)('$form, $k × $n: exact where the inputs are codes', ({ form, k, n }) => {
    const model = linearModel(form, k, n)
    const random = randomNumbers(k * n)
    // Every group holds the largest code, so its scale is 1 and no input is rounded.
    const most = largestCode(form)
    const input = Float32Array.from({ length: ROWS * k }, (_, i) =>
      (i % k) % 16 === 0
        ? random() < 0.5
          ? -most
          : most
        : Math.floor(random() * (2 * most + 1)) - most,
    )
    const wanted = expected(model, input)
    const magnitudes = magnitudesOf(model).map(sum)
    const found = run(model, input, ROWS, { isa, threads: 2 })
    // A group adds two roundings of the sum so far, and its scale and minimum cancel to a weight. Words have no minimum.
    const groups = Math.ceil(k / inputGroup(form))
    const tolerance = (_: number, __: number, c: number) =>
      form === 'int16'
        ? 2 ** -23 * (groups + 4) * most * (magnitudes[c]! + 1)
        : 1e-6 * (groups + 4) * most * (magnitudes[c]! + k)
    expectClose(found, wanted, tolerance)

    for (const rows of [1, 2, 3, 4, 5, 6, 7, 12, 13, 39]) {
      const few = run(model, input, rows, { isa, threads: 1 + (rows % 3) })
      expect(sameBits(few, found.subarray(0, rows * n)), `${rows} rows`).toBe(true)
      expectClose(few, wanted.slice(0, rows), tolerance)
    }
    const last = run(model, input.subarray((ROWS - 1) * k), 1, { isa })
    expect(sameBits(last, found.subarray((ROWS - 1) * n)), 'the last row alone').toBe(true)
  })

  it.each(FORMS)('%s: inputs are rounded to codes a group at a time', (form) => {
    const [k, n] = [200, 40]
    const model = linearModel(form, k, n)
    const input = normalNumbers(ROWS * k, { outlier: 50 })
    const found = run(model, input, ROWS, { isa })
    const magnitudes = magnitudesOf(model)
    // An input is off by at most half a step of its group, of which its largest magnitude has so many.
    expectClose(found, expected(model, input), (_, r, c) => {
      const row = input.subarray(r * k, (r + 1) * k)
      let error = 1e-3
      for (let first = 0; first < k; first += inputGroup(form)) {
        const group = row.subarray(first, first + inputGroup(form)).map(Math.abs)
        const weights = magnitudes[c]!.subarray(first, first + inputGroup(form))
        error += (Math.max(...group) / (2 * largestCode(form))) * sum(weights)
      }
      return error
    })
  })

  const eights = FORMS.filter((form) => quantizationOf(form)!.bits === 8)
  it.each(eights)('%s: two outliers of a row cost their neighbours nothing', (form) => {
    const [k, n] = [200, 40]
    const model = linearModel(form, k, n)
    const input = normalNumbers(ROWS * k)
    // In the same columns for most rows of a block, as models have them, and in others for some.
    const columnsOf = (r: number) => (r % 3 === 0 ? [r, 199 - r] : [70, 198])
    for (let r = 0; r < ROWS; r++) for (const c of columnsOf(r)) input[r * k + c]! += 1000 + r
    const found = run(model, input, ROWS, { isa })
    const magnitudes = magnitudesOf(model)
    expectClose(found, expected(model, input), (_, r, c) => {
      const row = input.slice(r * k, (r + 1) * k)
      let error = 1e-3
      for (const column of columnsOf(r)) {
        // Rounded as floats are: the product, and every sum that it is in.
        error += 1e-6 * Math.abs(row[column]!) * (magnitudes[c]![column]! + k / inputGroup(form))
        row[column] = 0
      }
      for (let first = 0; first < k; first += inputGroup(form)) {
        const group = row.subarray(first, first + inputGroup(form)).map(Math.abs)
        const weights = magnitudes[c]!.subarray(first, first + inputGroup(form))
        error += (Math.max(...group) / 254) * sum(weights)
      }
      return error
    })
    for (const rows of [1, 3, 9]) {
      const few = run(model, input, rows, { isa, threads: rows })
      expect(sameBits(few, found.subarray(0, rows * n)), `${rows} rows`).toBe(true)
    }
  })

  const whole = ['int16', 'int8'] as const
  it.each(whole)('%s: zeros for rows of zeros, and for rows too small to divide by', (form) => {
    const model = linearModel(form, 64, 32)
    const bias = run(model, new Float32Array(64), 1, { isa })
    const tiny = run(model, new Float32Array(64).fill(1e-40), 1, { isa })
    expect(bias.every(Number.isFinite)).toBe(true)
    expect(sameBits(tiny, bias)).toBe(true)
  })

  it.each(['int16', 'int4/32'] as const)('%s: a NaN in a row makes that row NaN', (form) => {
    const [k, n] = [96, 33]
    const model = linearModel(form, k, n)
    const input = normalNumbers(3 * k)
    const clean = run(model, input, 3, { isa })
    input[k + 50] = NaN
    const found = run(model, input, 3, { isa })
    expect(found.subarray(n, 2 * n).every(Number.isNaN)).toBe(true)
    for (const row of [0, 2]) {
      const [first, end] = [row * n, (row + 1) * n]
      expect(sameBits(found.subarray(first, end), clean.subarray(first, end))).toBe(true)
    }
  })

  it.each(FORMS)('%s: norms and activations make the codes that products would make', (form) => {
    const model = feedForwardModel(form)
    const tokens = Array.from({ length: ROWS }, (_, i) => i % VOCABULARY)
    const samples = tokens.map((_, tokenRow) => ({ tokenRow, logprobs: VOCABULARY }))
    const logprobs = (rows: number, read: readonly number[], threads = 1) => {
      const sequences = [{ id: 'a', start: 0, tokens: tokens.slice(0, rows) }]
      const step = { sequences, sampleRows: [], samples: samples.slice(0, rows) }
      return model.run([step], read, { isa, threads })[0]!
    }
    for (const rows of [8, 9, ROWS]) {
      // Values that are read lie as floats, which the products make codes of.
      const apart = logprobs(rows, [model.plan.values.length - 1])
      for (const threads of [1, 2]) {
        const found = logprobs(rows, [], threads)
        expect(found.ints, `${rows} rows, ${threads} threads`).toEqual(apart.ints)
        // The first number is the step's time.
        expect(sameBits(found.floats.subarray(1), apart.floats.subarray(1))).toBe(true)
      }
    }
  })

  it.each(FORMS)('%s: a table is looked up as it was quantised', (form) => {
    const g = new PlanBuilder({
      name: 'table',
      vocabSize: 70,
      weightType: form,
      cacheType: 'float32',
    })
    g.embed('x', g.table({ a: 41, b: 29 }, 37), 0.5)
    const model = new MadeModel(g.build())
    const step = {
      sequences: [{ id: 'a', start: 0, tokens: [69, 0, 31, 32, 41, 1] }],
      sampleRows: [],
    }
    const found = model.run([step], [0], { isa, threads: 2 })[0]!.values[0]!
    // scale × code + minimum, two roundings; the minimum is at most 128 scales.
    expectClose(found, model.reference.run(step).get(0)!, () => 1e-6)
  })
})

const several = it.runIf(fusedSets.length > 1)
several.each(FORMS)('instruction sets that fuse multiply-adds give the same bits: %s', (form) => {
  const model = linearModel(form, 130, 66)
  const input = normalNumbers(ROWS * 130)
  const [first, ...others] = fusedSets.map((isa) => run(model, input, ROWS, { isa }))
  others.forEach((found, i) => expect(sameBits(found, first!), fusedSets[i + 1]).toBe(true))
})

function sum(numbers: Iterable<number>): number {
  let total = 0
  for (const number of numbers) total += number
  return total
}
