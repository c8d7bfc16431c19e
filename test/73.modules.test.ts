import { describe, expect, it } from 'vitest'
import { PlanBuilder } from '../lib/plan/builder.js'
import { printPlan } from '../lib/plan/text.js'
import { MadeModel, normalNumbers } from './support/run-plan.js'

const COLUMNS = 5
const STEP = { sequences: [{ id: 'a', start: 0, tokens: [1, 1, 1] }], sampleRows: [] }

const builder = () =>
  new PlanBuilder({ name: 'modules', vocabSize: 2, weightType: 'bfloat16', cacheType: 'float32' })
const input = (g: PlanBuilder) => g.embed('x', g.matrix({ x: 2 }, COLUMNS))

/** Keys and values of two heads of three rows, then queries, of a tensor that has q, k and v a head. */
const REORDERED = [
  {
    rows: 12,
    first: 3,
    order: [
      [2, 3],
      [2, 9],
      [3, 1],
    ],
  },
  {
    rows: 6,
    order: [
      [2, 9],
      [3, 1],
    ],
  },
] as const

/** Compares the last value of the addon's run with the reference's. */
function compare(record: (g: PlanBuilder) => void): void {
  const g = builder()
  record(g)
  const model = new MadeModel(g.build())
  const rows = normalNumbers(3 * COLUMNS)
  const output = model.plan.values.at(-1)!.id
  const [found] = model.run([{ ...STEP, values: { 0: rows } }], [output])
  const wanted = model.reference.run(STEP, new Map([[0, rows]])).get(output)!
  const flat = wanted.flatMap((row) => [...row])
  expect(new Set(flat).size).toBe(flat.length)
  // Sums of five products of numbers below 10.
  found!.values[output]!.forEach((value, i) => expect(value).toBeCloseTo(flat[i]!, 4))
}

describe('linear modules', () => {
  it.each([false, true])('take rows in another order, stored by columns: %s', (transposed) =>
    compare((g) => {
      const parts = { qkv: REORDERED, other: 4 }
      g.linear('y', input(g), g.modules('m', parts, { columns: COLUMNS, bias: true, transposed }))
    }),
  )

  it('declare what is stored by columns by its shape', () => {
    const options = { columns: COLUMNS, bias: true, transposed: true }
    const { weight, bias } = builder().modules('m', { a: 4 }, options)
    expect(weight).toMatchObject({ shape: [4, COLUMNS], sources: [{ shape: [COLUMNS, 4] }] })
    expect(bias).toMatchObject({ shape: [4], sources: [{ name: 'm.a.bias', shape: [4] }] })
  })
})

describe('a vector with an offset', () => {
  it('has it added to each element', () =>
    compare((g) => {
      const weight = g.vector({ 'norm.weight': COLUMNS }, { offset: 1 })
      g.norm('y', input(g), { norm: 'rms', eps: 1e-6, weight })
    }))

  it('is another one than that without', () => {
    const g = builder()
    const weight = g.vector({ norm: 4 }, { offset: 1 })
    expect(g.vector({ norm: 4 }, { offset: 1 })).toBe(weight)
    expect(() => g.vector({ norm: 4 })).toThrow('weight norm is declared twice, differently')
    const text = printPlan(g.build(), { tokens: 1, sequences: 1, samples: 1 })
    expect(text).toContain('weight 0 vector float32 [4] offset=1 norm\n')
  })
})
