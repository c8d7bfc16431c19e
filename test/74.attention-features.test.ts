import { describe, expect, it } from 'vitest'
import { PlanBuilder, type AttentionOptions, type StoreOptions } from '../lib/plan/builder.js'
import type { QkNorm } from '../lib/plan/ops.js'
import { addon, concatenate, MadeModel, normalNumbers, sameBits } from './support/run-plan.js'

const HEADS = 4
const KV_HEADS = 2
const HEAD_DIM = 12
const COLUMNS = (HEADS + 2 * KV_HEADS) * HEAD_DIM
const TOKENS = 530

type Record = (g: PlanBuilder) => StoreOptions & Partial<AttentionOptions>

/** How keys and values are kept; and by how much results may be off. */
const CACHES = [
  // Scores reach 50, whose weights float32 knows to 1e-5; values reach 10.
  { cacheType: 'float32', roundsInputs: false, tolerance: 3e-4 },
  // A weight is off by 1/512 at the most. A key on the border may be stored as the other number.
  { cacheType: 'bfloat16', roundsInputs: true, tolerance: 0.1 },
] as const

/** Values: 0 the given q, k and v, 1 what is stored of q, 2 the attention. */
function model(
  record: Record,
  {
    cacheType,
    roundsInputs,
  }: Pick<(typeof CACHES)[number], 'cacheType' | 'roundsInputs'> = CACHES[0],
): MadeModel {
  const types = { weightType: 'float32', cacheType, roundsInputs } as const
  const g = new PlanBuilder({ name: 'attention', vocabSize: 2, ...types })
  const qkv = g.embed('qkv', g.matrix({ x: 2 }, COLUMNS))
  const shape = { kvHeads: KV_HEADS, keyDim: HEAD_DIM, valueDim: HEAD_DIM }
  const heads = { group: g.cache({ name: 'kv', layers: 1, ...shape }), layer: 0, heads: HEADS }
  const options = record(g)
  const q = g.ropeStoreKv('rope', qkv, { ...heads, ...options })
  g.pagedAttention('attention', q, { ...heads, scale: 0.3, ...options })
  return new MadeModel(g.build())
}

const rope = (g: PlanBuilder, interleaved: boolean) =>
  g.rope({ dim: 8, scale: 1.25, invFreq: [1, 0.3, 0.1, 0.03], interleaved })

function qkNorm(
  g: PlanBuilder,
  { each = false, ...options }: Pick<QkNorm, 'norm' | 'over' | 'afterRope'> & { each?: boolean },
): QkNorm {
  const whole = options.over === 'all' || each
  const vector = (name: string, heads: number) =>
    g.vector({ [name]: whole ? heads * HEAD_DIM : HEAD_DIM })
  const weights = { qWeight: vector('q', HEADS), kWeight: vector('k', KV_HEADS) }
  const biases = { qBias: vector('qb', HEADS), kBias: vector('kb', KV_HEADS) }
  return { eps: 1e-5, ...options, ...weights, ...(options.norm === 'layer' ? biases : {}) }
}

const CASES: readonly (readonly [string, Record])[] = [
  ['a window of one token', () => ({ window: 1 })],
  ['a window within a span', () => ({ window: 21 })],
  ['a window over spans', () => ({ window: 300 })],
  ['a window longer than all', () => ({ window: 1000 })],
  ['softcap', () => ({ softcap: 2.5 })],
  ['slopes', () => ({ slopes: [0.5, 0.25, 0.01, -0.1] })],
  ['sinks', (g) => ({ sinks: g.vector({ sinks: HEADS }) })],
  [
    'all of these',
    (g) => ({
      ...{ window: 40, softcap: 3, slopes: [0.5, 0.25, 0.01, 0], clip: 2 },
      ...{ sinks: g.vector({ sinks: HEADS }), rope: rope(g, true) },
    }),
  ],
  ['clip', () => ({ clip: 0.7 })],
  ['an interleaved rope', (g) => ({ rope: rope(g, true) })],
  [
    'an rms norm of each head',
    (g) => ({ rope: rope(g, false), qkNorm: qkNorm(g, { norm: 'rms', over: 'head' }) }),
  ],
  [
    'a layer norm of each head with its own gains',
    (g) => ({
      rope: rope(g, true),
      qkNorm: qkNorm(g, { norm: 'layer', over: 'head', each: true }),
    }),
  ],
  [
    'a norm over all heads',
    (g) => ({ rope: rope(g, false), qkNorm: qkNorm(g, { norm: 'rms', over: 'all' }) }),
  ],
  [
    'a norm over all heads, then clip',
    (g) => ({ clip: 0.9, qkNorm: qkNorm(g, { norm: 'rms', over: 'all' }) }),
  ],
  ['queries that grow', (g) => ({ rope: rope(g, false), growth: { beta: 0.3, span: 100 } })],
  [
    'a norm after the rotation',
    (g) => ({
      rope: rope(g, false),
      qkNorm: qkNorm(g, { norm: 'layer', over: 'head', afterRope: true }),
    }),
  ],
  ['a norm without gains', () => ({ qkNorm: { norm: 'layer', eps: 1e-6, over: 'head' } })],
]

const ROWS = normalNumbers(TOKENS * COLUMNS, { seed: 5, outlier: 5 })

/** The attention of all rows, which come in steps of these sizes, the last size repeated. */
function attend(
  made: MadeModel,
  sizes: readonly number[],
  options: { isa: string; threads: number },
) {
  const steps = []
  for (let start = 0, i = 0; start < TOKENS; i++) {
    const count = Math.min(sizes[Math.min(i, sizes.length - 1)]!, TOKENS - start)
    const tokens = Array<number>(count).fill(1)
    const values = { 0: ROWS.subarray(start * COLUMNS, (start + count) * COLUMNS) }
    steps.push({ sequences: [{ id: 'a', start, tokens }], sampleRows: [], values })
    start += count
  }
  return concatenate(made.run(steps, [2], options).map(({ values }) => values[2]!))
}

describe('attention', () => {
  const cases = CASES.flatMap(([what, record]) =>
    CACHES.map((cache) => [what, cache.cacheType, record, cache] as const),
  )
  it.each(cases)('with %s over %s is right, however it is computed', (_, __, record, cache) => {
    const made = model(record, cache)
    const tokens = Array<number>(TOKENS).fill(1)
    const step = { sequences: [{ id: 'a', start: 0, tokens }], sampleRows: [] }
    const wanted = made.reference.run(step, new Map([[0, ROWS]])).get(2)!
    const flat = wanted.flatMap((row) => [...row])
    for (const isa of addon.instructionSets) {
      const whole = attend(made, [TOKENS], { isa, threads: 2 })
      const worst = Math.max(...flat.map((value, i) => Math.abs(value - whole[i]!)))
      expect(worst, isa).toBeLessThan(cache.tolerance)
      for (const [sizes, threads] of [
        [[TOKENS], 1],
        [[255, 1, 1, 17], 3],
      ] as const) {
        const parts = attend(made, sizes, { isa, threads })
        expect(sameBits(parts, whole), `${isa}: chunks of ${sizes.join()}`).toBe(true)
      }
    }
  })

  it('refuses slopes, sinks and gains that are not one a head', () => {
    const refuse = (record: Record, message: string) => expect(() => model(record)).toThrow(message)
    refuse(() => ({ slopes: [1] }), 'slopes are 1 numbers, heads 4')
    refuse((g) => ({ sinks: g.vector({ sinks: 3 }) }), 'sinks has 3 elements, wanted are 4')
    const norm = { norm: 'rms', eps: 1e-6 } as const
    const short = (g: PlanBuilder) => g.vector({ gain: HEAD_DIM })
    refuse(
      (g) => ({ qkNorm: { ...norm, over: 'all', qWeight: short(g) } }),
      'gain has 12 elements, wanted are 48',
    )
    refuse(
      (g) => ({ qkNorm: { ...norm, over: 'head', kWeight: g.vector({ gain: 2 * 12 + 1 }) } }),
      'gain has 25 elements, wanted are 24',
    )
  })
})

describe('ops of single rows', () => {
  const cols = 21
  const rows = 9
  const step = {
    sequences: [{ id: 'a', start: 3, tokens: Array<number>(rows).fill(1) }],
    sampleRows: [],
  }
  const numbers = normalNumbers(rows * cols, { deviation: 3, outlier: 30 })
  numbers.set([0, -0, 1e-30, -1e-30, 87, -87, 1000, -1000, -5, 5], 0)

  it.each<readonly [string, (g: PlanBuilder, x: ReturnType<PlanBuilder['embed']>) => void]>([
    ['scale', (g, x) => g.scale('y', x, { factor: -0.3 })],
    ['capped', (g, x) => g.scale('y', x, { factor: 0.5, cap: 15 })],
    ['add', (g, x) => g.add('y', x, g.embedPositions('p', g.matrix({ p: 20 }, cols), 2))],
    ['geluQuick', (g, x) => g.activation('y', x, { activation: 'geluQuick', gated: false })],
    ['reluSquared', (g, x) => g.activation('y', x, { activation: 'reluSquared', gated: false })],
    [
      'xielu',
      (g, x) => {
        const parameters = g.vector({ p: 1, n: 1, beta: 1, eps: 1 })
        g.activation('y', x, { activation: 'xielu', gated: false, parameters })
      },
    ],
  ])('%s', (_, record) => {
    const g = new PlanBuilder({
      name: 'rows',
      vocabSize: 2,
      weightType: 'float32',
      cacheType: 'float32',
    })
    record(g, g.embed('x', g.matrix({ x: 2 }, cols)))
    const made = new MadeModel(g.build())
    const output = made.plan.values.at(-1)!.id
    const wanted = made.reference.run(step, new Map([[0, numbers]])).get(output)!
    const flat = wanted.flatMap((row) => [...row])
    for (const isa of addon.instructionSets) {
      const [found] = made.run([{ ...step, values: { 0: numbers } }], [output], { isa, threads: 2 })
      flat.forEach((value, i) => {
        // A few roundings, and what 1 − e^x and 1 − tanh x lose of numbers near 1.
        const tolerance = 2e-6 + 5e-6 * Math.abs(value)
        const error = Math.abs(found!.values[output]![i]! - value)
        if (!(error <= tolerance))
          expect.fail(`${isa}, ${i}: found ${found!.values[output]![i]}, expected ${value}`)
      })
    }
  })

  it('a position beyond its table is refused', () => {
    const g = new PlanBuilder({
      name: 'rows',
      vocabSize: 2,
      weightType: 'float32',
      cacheType: 'float32',
    })
    g.embedPositions('p', g.matrix({ p: 13 }, cols), 2)
    const made = new MadeModel(g.build())
    expect(() => made.run([step], [0])).toThrow('embed "p": a position is beyond the table')
  })
})
