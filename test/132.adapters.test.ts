import { describe, expect, it } from 'vitest'
import type { StoredType, WeightType } from '../lib/plan/ops.js'
import {
  adapter,
  adaptersOf,
  product,
  ranksOf,
  run,
  SOURCES,
  stepOf,
  type Product,
  type Rows,
} from './support/adapted-product.js'
import { expectClose } from './support/expect-close.js'
import { addon, fusedSets, sameBits, type NativeOptions } from './support/run-plan.js'

const EPSILON = 2 ** -24

/** Compares with float64, from the very rows that the product had. */
function compare(made: Product, sequences: readonly Rows[], options: NativeOptions = {}) {
  const step = stepOf(made, sequences)
  const read = [made.normed.id, made.out.id]
  const adapters = adaptersOf(sequences)
  const { values } = made.model.run([step], read, { ...options, adapters })[0]!
  const given = new Map([
    [made.input.id, step.values![made.input.id]!],
    [made.normed.id, values[made.normed.id]!],
  ])
  const wanted = made.model.reference.run(step, given).get(made.out.id)!
  // Two sums in a row, of up to `columns` and of up to `rank` terms whose magnitudes add up to some tens:
  // each rounds once a term at most.
  const rank = Math.max(...adapters.flatMap(({ reference }) => ranksOf(reference)), 1)
  expectClose(values[made.out.id]!, wanted, () => 100 * (made.columns + rank) * EPSILON)
}

describe.each(addon.instructionSets)('%s: adapters', (isa) => {
  it.each([1, 2, 7, 8, 31, 32, 33, 64, 65])(
    'compute with rank %i what the reference does',
    (rank) => {
      const made = product()
      const all = adapter(made, 'all', [{ rank }])
      compare(made, [{ count: 5, adapter: all }], { isa })
    },
  )

  it.each(['float32', 'bfloat16', 'float16'] as const)(
    'keep their own type %s',
    (type: StoredType) => {
      const made = product()
      const each = adapter(
        made,
        type,
        SOURCES.map((part) => ({ ...part, type })),
      )
      compare(made, [{ count: 3, adapter: each }], { isa })
    },
  )

  it.each([
    { columns: 1, rows: [1] },
    { columns: 31, rows: [1, 2] },
    { columns: 33, rows: [257] },
    { columns: 96, rows: [255, 2] },
  ])('fit matrices of awkward sizes: %o', (shape) => {
    const made = product(shape)
    const all = adapter(made, 'all', [{ rank: 3 }])
    const last = adapter(made, 'last', [{ first: shape.rows[0]! - 1, rows: 1, rank: 2 }])
    compare(made, [{ count: 2, adapter: all }, { count: 1 }, { count: 4, adapter: last }], { isa })
  })

  it.each([1, 47, 48, 49, 97])('serve %i rows of each sequence, with and without', (count) => {
    const made = product()
    const one = adapter(made, 'one', [SOURCES[0], SOURCES[2]])
    const two = adapter(made, 'two', [{ ...SOURCES[1], rank: 33, scale: 0.5 }])
    const sequences = [
      { count, adapter: one },
      { count },
      { count, adapter: two },
      { count, adapter: one },
    ]
    compare(made, sequences, { isa, threads: 2 })
  })

  it('change nothing of rows that have none, to the last bit', () => {
    const made = product()
    const none = run(made, [{ count: 3 }, { count: 2 }], { isa })
    const one = adapter(made, 'one', [SOURCES[0]])
    const some = run(made, [{ count: 3 }, { count: 2, adapter: one }], { isa })
    const kept = 3 * made.out.cols
    expect(sameBits(none.subarray(0, kept), some.subarray(0, kept))).toBe(true)
    expect(sameBits(none.subarray(kept), some.subarray(kept))).toBe(false)
  })
})

/** Matrices of floats and of codes: the latter's inputs may lie as codes where no row has an adapter. */
const WEIGHTS: readonly WeightType[] = ['float32', 'bfloat16', 'int8/32', 'int4/32', 'int8']

describe.each([...fusedSets.slice(0, 2), 'portable'])('%s: a row beside others', (isa) => {
  it.each(WEIGHTS)('has the same bits as alone: %s', (weightType) => {
    const made = product({ columns: 96, rows: [64, 33, 31], weightType })
    const one = adapter(made, 'one', [SOURCES[0], { ...SOURCES[2], rank: 5 }])
    const two = adapter(made, 'two', [{ rank: 16, type: 'bfloat16' }])
    const sequences: readonly Rows[] = [
      { count: 1, adapter: one },
      { count: 50 },
      { count: 1, adapter: two },
      { count: 1 },
      { count: 49, adapter: one },
      { count: 3, adapter: one },
    ]
    const alone = sequences.map((sequence, s) => run(made, [sequence], { isa }, s))
    for (const threads of [1, 2, 3]) {
      const together = run(made, sequences, { isa, threads })
      let row = 0
      for (const [s, { count }] of sequences.entries()) {
        const part = together.subarray(row * made.out.cols, (row + count) * made.out.cols)
        expect(sameBits(part, alone[s]!), `sequence ${s}, ${threads} threads`).toBe(true)
        row += count
      }
    }
  })
})

describe('an adapter that does not fit', () => {
  const made = product()
  const { text, tensors } = adapter(made, 'one', [SOURCES[0]])
  const load = (changed: string) => {
    const step = stepOf(made, [{ count: 1 }])
    const broken = { text: changed, tensors, reference: new Map() }
    return () => made.model.run([step], [], { adapters: [broken] })
  }

  it.each([
    ['', "expected the line 'octavo-adapter 1'"],
    [text.replace('octavo-adapter 1', 'octavo-adapter 2'), "adapter line 1: expected '1'"],
    [text.replace('weight=', 'weight=9'), 'the plan adapts no weight 9'],
    [text.replace('weight=1', 'weight=0'), 'the plan adapts no weight 0'],
    [text.replace('first=0', 'first=65'), 'its matrices do not fit rows from 65 on of weight 1'],
    [text.replace('b=1', 'b=2'), 'expected b below 2, found 2'],
    [text.replace('a=0', 'a=1'), 'its matrices do not fit'],
    [text.replace('[64,8]', '[63,8]'), 'one.1'],
    [text.replace('scale=2', 'scale=x'), 'scale'],
    [text + text.slice(text.indexOf('part')), 'adapter part 1: part 0 has rows of it too'],
  ])('is refused: %#', (changed, message) => {
    expect(load(changed)).toThrow(message)
  })
})
