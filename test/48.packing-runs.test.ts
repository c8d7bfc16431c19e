import { expect, test } from 'vitest'
import { PlanBuilder } from '../lib/plan/builder.js'
import type { Value, Weight } from '../lib/plan/ops.js'
import { printPlan } from '../lib/plan/text.js'
import { addon, sameBits } from './support/run-plan.js'
import { packToy } from './support/toy.js'

// Weights are packed in runs of 16 MB (Executor::LoadWeights). A matrix here has 6 MiB: three fill a run.
const ROWS = 3072
const COLUMNS = 512
const MATRICES = 8
const TOKENS = [0, 1, 31, 32, 1000, ROWS - 2, ROWS - 1]

/** Each element tells its tensor, its row and its column: an integer that float32 holds. */
const element = (tensor: number, row: number, column: number) =>
  (tensor * 2 ** 12 + row) * COLUMNS + column

function tensorOf(tensor: number, rows: number, transposed: boolean) {
  const data = new Float32Array(rows * COLUMNS)
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < COLUMNS; column++)
      data[transposed ? column * rows + row : row * COLUMNS + column] = element(tensor, row, column)
  const shape = transposed ? [COLUMNS, rows] : [rows, COLUMNS]
  return { type: 'float32' as const, shape, data }
}

/** Tables of several runs, among them some that are fused, turned around or used again, and vectors. */
function manyWeights() {
  const g = new PlanBuilder({
    name: 'runs',
    vocabSize: ROWS,
    weightType: 'float32',
    cacheType: 'float32',
  })
  const tensors: Record<string, ReturnType<typeof tensorOf>> = {}
  const zeros = (name: string, rows: number) =>
    (tensors[name] = { type: 'float32', shape: [rows, 1], data: new Float32Array(rows) })
  zeros('zeros', ROWS)
  zeros('head', 3)
  const nothing = g.embed('zeros', g.matrix({ zeros: ROWS }, 1))
  const head = g.matrix({ head: 3 }, 1)
  const found: { value: Value; wanted: (token: number) => number[] }[] = []
  const table = (i: number): Weight => {
    if (i % 3 === 1) {
      tensors[`turned${i}`] = tensorOf(i, ROWS, true)
      const shape = [COLUMNS, ROWS]
      return g.matrix({ [`turned${i}`]: { rows: ROWS, shape, transposed: true } }, COLUMNS)
    }
    const half = ROWS / 2
    tensors[`lower${i}`] = tensorOf(i, half, false)
    tensors[`upper${i}`] = tensorOf(i, half, false)
    return g.matrix({ [`lower${i}`]: half, [`upper${i}`]: half }, COLUMNS)
  }
  for (let i = 0; i < MATRICES; i++) {
    const weight = table(i)
    const rowOf = (token: number) => (i % 3 === 1 ? token : token % (ROWS / 2))
    const wanted = (token: number) =>
      Array.from({ length: COLUMNS }, (_, column) => element(i, rowOf(token), column))
    found.push({ value: g.embed(`embed ${i}`, weight), wanted })
    // 0 · head + bias, an offset being added to the bias as it is loaded.
    tensors[`bias${i}`] = { type: 'float32', shape: [3], data: Float32Array.of(i, -i, 0.5) }
    const bias = g.vector({ [`bias${i}`]: 3 }, { offset: 2 })
    const value = g.linear(`linear ${i}`, nothing, { weight: head, bias })
    found.push({ value, wanted: () => [i + 2, 2 - i, 2.5] })
  }
  return { plan: g.build(), tensors, found }
}

test.each([1, 2, 3])('packs weights of several runs, %i threads', (threads) => {
  const { plan, tensors, found } = manyWeights()
  const [ints, floats] = packToy({ sequences: [{ tokens: TOKENS, blocks: [] }], groups: 0 })
  const { steps } = addon.runPlan({
    plan: printPlan(plan, { tokens: TOKENS.length, sequences: 1, samples: 1 }),
    ...{ threads, isa: '', blockSize: 16, numBlocks: 1, tensors },
    steps: [{ ints, floats }],
    read: found.map(({ value }) => value.id),
  })
  for (const { value, wanted } of found) {
    const numbers = Float32Array.from(TOKENS.flatMap(wanted))
    expect(sameBits(steps[0]!.values[value.id]!, numbers)).toBe(true)
  }
})
