import { whyNotEmulated } from '../support/emulated.js'
import { describe, expect, it } from 'vitest'
import type { StoredType } from '../../lib/plan/ops.js'
import {
  adapter,
  adaptersOf,
  product,
  run,
  SOURCES,
  stepOf,
  type Product,
  type Rows,
  type Shape,
} from '../support/adapted-product.js'
import { expectClose } from '../support/expect-close.js'
import { sameBits } from '../support/run-plan.js'

const TYPES: readonly StoredType[] = ['float32', 'bfloat16', 'float16']

/** Half a unit in the last place of 1: the relative error of one rounding. */
const ROUNDING = { float32: 2 ** -24, bfloat16: 2 ** -8, float16: 2 ** -11 }

/** A product whose results are near 1, as adapters' are. */
function productOf(type: StoredType, { columns = 72, ...shape }: Shape = {}): Product {
  const types = { weightType: type, cacheType: type, deviation: columns ** -0.5 }
  return product({ ...types, columns, ...shape })
}

/** Compares with float64, from the very rows that the product had. */
function compare(type: StoredType, made: Product, sequences: readonly Rows[], roundings = 1) {
  const step = stepOf(made, sequences)
  const options = { device: 'cuda', adapters: adaptersOf(sequences) } as const
  const { values } = made.model.run([step], [made.normed.id, made.out.id], options)[0]!
  const given = new Map([
    [made.input.id, step.values![made.input.id]!],
    [made.normed.id, values[made.normed.id]!],
  ])
  const wanted = made.model.reference.run(step, given).get(made.out.id)!
  // Rounded to the type are input × aᵀ, of which terms of up to 8 are made, the product, and the sum; in float32
  // each term of sums as long as a row.
  const terms = type === 'float32' ? made.columns : roundings
  expectClose(
    values[made.out.id]!,
    wanted,
    (value) => terms * ROUNDING[type] * (8 + Math.abs(value)),
  )
}

describe.skipIf(whyNotEmulated).each(TYPES)('%s: adapters on the emulated GPU', (type) => {
  it.each([1, 8, 15, 16, 17, 33, 70])('compute with rank %i what the reference does', (rank) => {
    const made = productOf(type)
    const all = adapter(made, 'all', [{ rank, type }])
    compare(type, made, [{ count: 5, adapter: all }])
  })

  it.each([
    { columns: 1, rows: [1] },
    { columns: 31, rows: [1, 2] },
    { columns: 33, rows: [257] },
    { columns: 96, rows: [255, 2] },
    { columns: 136, rows: [64, 64] },
    { columns: 600, rows: [40] },
    { columns: 4224, rows: [8] },
  ])('fit matrices of any size: %o', (shape) => {
    const made = productOf(type, shape)
    const all = adapter(made, 'all', [{ rank: 3, type }])
    const last = adapter(made, 'last', [{ first: shape.rows[0]! - 1, rows: 1, rank: 2, type }])
    compare(type, made, [{ count: 2, adapter: all }, { count: 1 }, { count: 4, adapter: last }])
  })

  it.each([1, 15, 16, 17, 33])('serve %i rows of each sequence, with and without', (count) => {
    const made = productOf(type)
    const one = adapter(made, 'one', [
      { ...SOURCES[0], type },
      { ...SOURCES[2], type, rank: 20 },
    ])
    const two = adapter(made, 'two', [{ ...SOURCES[1], type, rank: 33, scale: 0.5 }])
    const sequences = [
      { count, adapter: one },
      { count },
      { count, adapter: two },
      { count, adapter: one },
      { count, adapter: one },
    ]
    compare(type, made, sequences)
  })

  it('change what is sampled from, of the rows that are', () => {
    const made = productOf(type, { head: true })
    const one = adapter(made, 'one', [{ ...SOURCES[0], type }])
    const two = adapter(made, 'two', [{ type, rank: 40 }])
    compare(type, made, [
      { count: 3, adapter: one },
      { count: 1 },
      { count: 18, adapter: two },
      { count: 1, adapter: one },
    ])
  })

  it('may be stored in another type', () => {
    const made = productOf(type)
    const types = TYPES.filter((other) => other !== type)
    const sequences = types.map((other) => ({
      count: 2,
      adapter: adapter(made, other, [{ type: other, rank: 16 }]),
    }))
    compare(type, made, sequences, 2)
  })

  it('give a row the bits that it has alone, and leave those without', () => {
    const made = productOf(type)
    const one = adapter(made, 'one', [
      { ...SOURCES[0], type },
      { ...SOURCES[2], type, rank: 5 },
    ])
    const two = adapter(made, 'two', [{ rank: 17, type }])
    const sequences: readonly Rows[] = [
      { count: 1, adapter: one },
      { count: 20 },
      { count: 1, adapter: two },
      { count: 1 },
      { count: 35, adapter: one },
      { count: 3, adapter: one },
    ]
    const options = { device: 'cuda', batchInvariant: true } as const
    const together = run(made, sequences, options)
    let row = 0
    for (const [s, sequence] of sequences.entries()) {
      const alone = run(made, [sequence], options, s)
      const part = together.subarray(row * made.out.cols, (row += sequence.count) * made.out.cols)
      expect(sameBits(part, alone), `sequence ${s}`).toBe(true)
      const without = run(made, [{ count: sequence.count }], options, s)
      expect(sameBits(part, without), `sequence ${s}`).toBe(sequence.adapter === undefined)
    }
  })
})

describe.skipIf(whyNotEmulated)('an adapter beside a matrix of codes', () => {
  it('is of the type of activations', () => {
    const made = productOf('bfloat16', { weightType: 'int4/32', columns: 96 })
    const one = adapter(made, 'one', [{ ...SOURCES[0], type: 'bfloat16' }])
    compare('bfloat16', made, [{ count: 3, adapter: one }, { count: 2 }])
  })
})
