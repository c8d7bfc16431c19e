import { describe, expect, it } from 'vitest'
import { PlanBuilder } from '../lib/plan/builder.js'
import { expectClose } from './support/expect-close.js'
import { Reference } from './support/reference.js'
import {
  addon,
  concatenate,
  MadeModel,
  normalNumbers,
  sameBits,
  type NativeOptions,
  type PlanStep,
} from './support/run-plan.js'

const WIDTH = 4
/** More than the columns that a thread takes at a time, and no multiple of them. */
const COLUMNS = 70
const TOKENS = 24
const CHUNKS = [
  [TOKENS],
  [1, WIDTH - 1, WIDTH, WIDTH + 1, 1, 1, WIDTH - 2, 7],
  Array<number>(TOKENS).fill(1),
]

/** Two layers of one state group over the same input, so that their places in a block matter. */
function convolutions({ bias = true, width = WIDTH } = {}) {
  const types = { weightType: 'float32', cacheType: 'float32' } as const
  const g = new PlanBuilder({ name: 'convolutions', vocabSize: 2, ...types })
  const input = g.embed('input', g.matrix({ table: 2 }, 3 * COLUMNS))
  const group = g.stateCache({ name: 'state', layers: 2, elements: (width - 1) * COLUMNS })
  const outputs = [0, 1].map((layer) => {
    const weight = g.vector({ [`kernel.${layer}`]: COLUMNS * width })
    const shift = bias ? g.vector({ [`bias.${layer}`]: COLUMNS }) : undefined
    return g.shortConv(`conv.${layer}`, input, { weight, bias: shift, width, group, layer })
  })
  return { model: new MadeModel(g.build()), outputs: outputs.map(({ id }) => id) }
}

type Convolutions = ReturnType<typeof convolutions>

/** Input rows of a sequence. */
const rows = normalNumbers(TOKENS * 3 * COLUMNS, { seed: 3, outlier: 30 })

function stepOf(id: string, input: Float32Array, start: number, count: number): PlanStep {
  const values = { 0: input.subarray(start * 3 * COLUMNS, (start + count) * 3 * COLUMNS) }
  return {
    sequences: [{ id, start, tokens: Array<number>(count).fill(1) }],
    sampleRows: [],
    values,
  }
}

function chunked(id: string, sizes: readonly number[]): PlanStep[] {
  const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + size, 0))
  return sizes.map((size, i) => stepOf(id, rows, starts[i]!, size))
}

/** Each output of the steps, row after row. */
function run({ model, outputs }: Convolutions, steps: PlanStep[], options?: NativeOptions) {
  const results = model.run(steps, outputs, options)
  return outputs.map((id) => concatenate(results.map(({ values }) => values[id]!)))
}

/** The float64 outputs of all rows in one step. */
function expected(reference: Reference, input: Float32Array) {
  return reference.run(stepOf('a', input, 0, TOKENS), new Map([[0, input]]))
}

describe.each(addon.instructionSets)('%s: shortConv', (isa) => {
  it.each([{ bias: true }, { bias: false }, { width: 2 }, { width: 3 }])(
    'computes in chunks what the reference does at once: %o',
    (shape) => {
      const convolution = convolutions(shape)
      const { plan, tensors } = convolution.model.reference
      const absolute = new Reference(plan, (name) => Array.from(tensors(name), Math.abs))
      const magnitudes = expected(absolute, rows.map(Math.abs))
      const wanted = expected(convolution.model.reference, rows)
      for (const sizes of CHUNKS) {
        const found = run(convolution, chunked('a', sizes), { isa, threads: 3 })
        // Each term is rounded twice, the sum once a term and at the bias, the gated result once: at
        // most 2 + 4 + 1 + 1 roundings of the sum of the magnitudes.
        convolution.outputs.forEach((id, i) =>
          expectClose(
            found[i]!,
            wanted.get(id)!,
            (_, row, column) => 8 * 2 ** -24 * magnitudes.get(id)![row]![column]!,
          ),
        )
      }
    },
  )

  it('has the same bits in any chunks and with any threads', () => {
    const convolution = convolutions()
    const whole = run(convolution, chunked('a', [TOKENS]), { isa })
    for (const sizes of CHUNKS) {
      for (const threads of [1, 3]) {
        const found = run(convolution, chunked('a', sizes), { isa, threads })
        found.forEach((output, i) => expect(sameBits(output, whole[i]!)).toBe(true))
      }
    }
  })

  it('keeps the states of sequences apart', () => {
    const convolution = convolutions()
    const alone = run(convolution, chunked('a', [TOKENS]), { isa })
    const sizes = CHUNKS[1]!
    const [first, second, ...rest] = chunked('a', sizes)
    const other = (start: number, count: number) => stepOf('b', rows.toReversed(), start, count)
    const steps = [beside(first!, other(0, 9)), other(9, 3), beside(second!, other(12, 1)), ...rest]
    const results = convolution.model.run(steps, convolution.outputs, { isa, threads: 3 })
    const own = results.filter((_, step) => step !== 1)
    convolution.outputs.forEach((id, i) => {
      const parts = own.map(({ values }, chunk) => values[id]!.subarray(0, sizes[chunk]! * COLUMNS))
      expect(sameBits(concatenate(parts), alone[i]!)).toBe(true)
    })
  })
})

/** Both steps as one. */
function beside(step: PlanStep, other: PlanStep): PlanStep {
  const sequences = [...step.sequences, ...other.sequences]
  const values = { 0: concatenate([step.values![0]!, other.values![0]!]) }
  return { sequences, sampleRows: [], values }
}
