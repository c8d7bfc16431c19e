import { describe, expect, it } from 'vitest'
import type { CacheType, Plan } from '../lib/plan/ops.js'
import { expectClose } from './support/expect-close.js'
import { builder, expectAllSame, expectSameBits } from './support/kernels.js'
import {
  addon,
  concatenate,
  fusedSets,
  MadeModel,
  normalNumbers,
  type NativeOptions,
} from './support/run-plan.js'

/** How keys and values are kept, and whether queries and weights are rounded to the same. */
interface CacheKind {
  readonly type: CacheType
  readonly rounds: boolean
}
const EXACT_CACHES = (['float32', 'bfloat16', 'float16', 'int8', 'fp8'] as const).map((type) => ({
  type,
  rounds: false,
}))
const CACHES = [...EXACT_CACHES, { type: 'bfloat16', rounds: true }] as readonly CacheKind[]

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

/** A sequence, and what float64 makes of it: made once, for all instruction sets. */
function attentionRun(attentionCase: AttentionCase): AttentionRun {
  let made = attentionRuns.get(attentionCase)
  if (made === undefined) attentionRuns.set(attentionCase, (made = makeRun(attentionCase)))
  return made
}
const attentionRuns = new Map<AttentionCase, AttentionRun>()
type AttentionRun = ReturnType<typeof makeRun>

function makeRun({ type, rounds, ...shape }: AttentionCase) {
  const model = new MadeModel(attentionPlan(shape, { type, rounds }))
  const cols = model.plan.values[0]!.cols
  const rows = normalNumbers(530 * cols, { outlier: 20 })
  const step = chunked('a', rows, cols, [530])[0]!
  return { model, step, wanted: model.reference.run(step, new Map([[0, rows]])) }
}

describe.each(addon.instructionSets)('%s: rotary embedding and attention', (isa) => {
  it.each(attentionCases)(
    '$heads heads on $kvHeads of $headDim, cache $type, rounded: $rounds: is right at every position',
    (attentionCase) => {
      const { type, rounds } = attentionCase
      const { model, step, wanted } = attentionRun(attentionCase)
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

describe.runIf(fusedSets.length > 1)('instruction sets that fuse multiply-adds', () => {
  it('give the same bits of attention', () => {
    for (const shape of [shapes[1]!, shapes[2]!]) {
      for (const cache of CACHES) {
        const attention = new MadeModel(attentionPlan(shape, cache))
        const rows = normalNumbers(300 * attention.plan.values[0]!.cols)
        const what = `attention over ${cache.type}, rounded: ${cache.rounds}`
        expectAllSame(what, (isa) => attend(attention, rows, [300], { isa }))
      }
    }
  })
})
