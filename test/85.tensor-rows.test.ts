import { describe, expect, it } from 'vitest'
import { PlanBuilder } from '../lib/plan/builder.js'
import type { TensorRows } from '../lib/plan/tensor-rows.js'
import { addon, MadeModel, normalNumbers, type PlanStep } from './support/run-plan.js'

const COLUMNS = 5

const builder = () =>
  new PlanBuilder({ name: 'rows', vocabSize: 2, weightType: 'float32', cacheType: 'float32' })

/** A linear op over those rows of the tensor `tensor`. */
function linearOf(part: TensorRows, { bias }: { bias?: TensorRows } = {}): MadeModel {
  const g = builder()
  const x = g.embed('embed', g.matrix({ table: 2 }, COLUMNS))
  g.linear('linear', x, {
    weight: g.matrix({ tensor: part }, COLUMNS),
    bias: bias && g.vector({ biases: bias }),
  })
  return new MadeModel(g.build())
}

describe('rows of a checkpoint tensor', () => {
  const cases: [string, TensorRows, TensorRows?][] = [
    ['the third of stacked matrices', { rows: 7, shape: [4, 7, COLUMNS], matrix: 2 }],
    ['some rows', { rows: 3, shape: [9, COLUMNS], first: 5 }],
    ['a matrix stored by columns', { rows: 7, shape: [COLUMNS, 7], transposed: true }],
    [
      'even columns, then odd ones, of a stacked matrix',
      {
        rows: 6,
        shape: [3, COLUMNS, 6],
        matrix: 1,
        transposed: true,
        order: [
          [2, 1],
          [3, 2],
        ],
      },
      {
        rows: 6,
        shape: [3, 6],
        matrix: 1,
        order: [
          [2, 1],
          [3, 2],
        ],
      },
    ],
    [
      'keys of heads that have keys and values in turn',
      {
        rows: 6,
        shape: [15, COLUMNS],
        first: 2,
        order: [
          [3, 5],
          [2, 1],
        ],
      },
    ],
  ]

  it.each(cases)('%s', (_, part, bias) => {
    const model = linearOf(part, { bias })
    const input = normalNumbers(2 * COLUMNS, { seed: 7 })
    const step: PlanStep = {
      sequences: [{ id: 'a', start: 0, tokens: [0, 1] }],
      sampleRows: [],
      values: { 0: input },
    }
    const [found] = model.run([step], [1])
    const wanted = model.reference.run(step, new Map([[0, input]])).get(1)!
    wanted.forEach((row, r) =>
      row.forEach((value, c) =>
        // Sums of five products of numbers below 10.
        expect(found!.values[1]![r * part.rows + c]).toBeCloseTo(value, 4),
      ),
    )
  })

  it('are refused where the tensor has no such rows', () => {
    const refuse = (part: TensorRows, message: string) =>
      expect(() => linearOf(part)).toThrow(message)
    refuse(
      { rows: 7, shape: [4, 7, COLUMNS], matrix: 4 },
      'weight tensor: 7 rows up to element 174, expected 7 within 140',
    )
    refuse(
      {
        rows: 7,
        shape: [8, COLUMNS],
        order: [
          [2, 4],
          [3, 1],
        ],
      },
      'weight tensor: 6 rows up to element 34, expected 7 within 40',
    )
  })

  it('are checked again by the addon', () => {
    const plan = (source: string, elements = 20) =>
      addon.runPlan({
        plan: `octavo-plan 1 rows vocab=2
limits T=1 S=1 R=1 arena=64
weight 0 matrix float32 [2,4] ${source}
%0 [T,4] @0 = embed() weight=0 scale=1 "embed"
`,
        threads: 1,
        isa: '',
        blockSize: 4,
        numBlocks: 2,
        tensors: {
          table: { type: 'float32', shape: [elements], data: new Float32Array(elements) },
        },
        steps: [],
        read: [],
      })
    plan('table:2@0/1/2x4')
    plan('table:2@4/5/2x0')
    const refuse = (source: string, message: string) => expect(() => plan(source)).toThrow(message)
    refuse('table:2@13/1/2x4', "tensor 'table' of shape [20] has not all elements")
    refuse('table:2@5/5/2x0', "tensor 'table' of shape [20] has not all elements")
    refuse('table:2@99/1/2x0', "tensor 'table' of shape [20] has not all elements")
    refuse('table:2@0/9223372036854775807/2x4', "tensor 'table' of shape [20] has not all")
    refuse('table:2@0/1', "expected first/step/loops behind @, found '0/1'")
    refuse('table:2@0/1/2', "expected a loop countxstep, found '2'")
    refuse('table:2@0/1/3x1', 'the loops of 0/1/3x1 are more than its rows')
    refuse('table:2@0/1/1x1', 'the loops have 1 rows, expected 2')
    refuse('table:2@-1/1/2x1', "expected a first element (an integer of at least 0), found '-1'")
  })
})
