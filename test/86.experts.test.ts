import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { NativeTensor } from '../lib/native/addon-types.js'
import { readResult } from '../lib/native/native-executor.js'
import { PlanBuilder } from '../lib/plan/builder.js'
import type { Plan, QuantizedType, Weight, WeightType } from '../lib/plan/ops.js'
import { printPlan } from '../lib/plan/text.js'
import { temporaryFolder } from './support/files.js'
import {
  addon,
  MadeModel,
  normalNumbers,
  sameBits,
  type NativeOptions,
  type PlanStep,
} from './support/run-plan.js'
import { EXPERTS, ROUTINGS } from './support/routings.js'
import { Events, packToy, toyEngine } from './support/toy.js'

/** Tables and routers are float32 whatever the type of the experts. */
const builder = (type: WeightType = 'float32') =>
  new PlanBuilder({
    ...{ name: 'experts', vocabSize: 2, cacheType: 'float32' },
    weightType: ([name]) => (/^(table|router)$/.test(name!) ? 'float32' : type),
  })

/** A plan's first value, whose rows the tests give. */
const inputOf = (g: PlanBuilder, columns: number) =>
  g.embed('embed', g.matrix({ table: 2 }, columns))

function stepOf(rows: number, values: PlanStep['values']): PlanStep {
  const tokens = Array<number>(rows).fill(1)
  return { sequences: [{ id: 'rows', start: 0, tokens }], sampleRows: [], values }
}

/** What the addon and the reference make of the given values, op by op from the same inputs. */
function compare(plan: Plan, rows: number, given: Map<number, Float32Array>, tolerance: number) {
  const model = new MadeModel(plan)
  const read = plan.values.map(({ id }) => id)
  const step = stepOf(rows, Object.fromEntries(given))
  for (const isa of addon.instructionSets) {
    const { values } = model.run([step], read, { isa })[0]!
    const found = new Map(read.map((id) => [id, values[id]!]))
    const wanted = model.reference.run(step, found)
    for (const { id, cols } of plan.values) {
      if (given.has(id)) continue
      wanted.get(id)!.forEach((row, r) =>
        row.forEach((value, c) => {
          const error = Math.abs(found.get(id)![r * cols + c]! - value)
          if (!(error <= tolerance * Math.max(1, Math.abs(value))))
            expect.fail(`${isa}: %${id} row ${r}, column ${c}: error ${error} of ${value}`)
        }),
      )
    }
  }
}

describe('route', () => {
  it.each(ROUTINGS)('%s', (_, routing, { bias = false } = {}) => {
    const g = builder()
    const x = inputOf(g, EXPERTS)
    g.route('route', x, {
      topK: 5,
      ...routing,
      bias: bias ? g.vector({ bias: EXPERTS }) : undefined,
    })
    const logits = normalNumbers(17 * EXPERTS, { seed: 3, outlier: 20 })
    // A softmax of 24 terms, each wrong by a few units in the last place of float32, times the scale.
    compare(g.build(), 17, new Map([[0, logits]]), 4e-6)
  })

  it('takes the first of equal experts, and any different ones where nothing is a number', () => {
    const g = builder()
    g.route('route', inputOf(g, 6), { topK: 3, groups: 2, topGroups: 1 })
    const model = new MadeModel(g.build())
    const logits = Float32Array.of(1, 2, 2, 0, 0, 1, ...Array<number>(6).fill(NaN))
    const [{ values }] = model.run([stepOf(2, { 0: logits })], [1]) as [
      ReturnType<MadeModel['run']>[number],
    ]
    expect([...values[1]!.subarray(0, 3)]).toEqual([1, 2, 0])
    expect(new Set(values[1]!.subarray(6, 9)).size).toBe(3)
  })
})

interface MoeShape {
  readonly experts: number
  readonly topK: number
  readonly hidden: number
  readonly inner: number
  readonly type?: WeightType
  readonly biases?: boolean
}

/** Two linear layers with a gated activation between them, from given rows and given routes. */
function expertPlan({ experts, topK, hidden, inner, type, biases }: MoeShape) {
  const g = builder(type)
  const x = inputOf(g, hidden)
  const routes = g.route(
    'route',
    g.linear('router', x, { weight: g.matrix({ router: experts }, hidden) }),
    { topK },
  )
  const each = (make: (e: number) => Weight) => Array.from({ length: experts }, (_, e) => make(e))
  const layer = (name: string, rows: number, columns: number) => ({
    weights: each((e) => g.matrix({ [`${name}.${e}`]: rows }, columns)),
    biases: biases ? each((e) => g.vector({ [`${name}.${e}.bias`]: rows })) : undefined,
  })
  let y = g.expertLinear('in', x, routes, { ...layer('in', 2 * inner, hidden), split: false })
  y = g.activation('act', y, {
    activation: biases ? 'clampedSwiglu' : 'silu',
    gated: true,
    parts: topK,
  })
  y = g.expertLinear('out', y, routes, { ...layer('out', hidden, inner), split: true })
  g.combineExperts('sum', y, routes)
  return g.build()
}

/** About normal inputs whose products over so many columns stay near 1. */
const inputs = (rows: number, columns: number) =>
  normalNumbers(rows * columns, { seed: 5, deviation: columns ** -0.5 })

describe('expert layers', () => {
  const shapes: MoeShape[] = [
    { experts: 4, topK: 2, hidden: 40, inner: 33 },
    { experts: 7, topK: 3, hidden: 31, inner: 32, type: 'bfloat16' },
    { experts: 3, topK: 1, hidden: 65, inner: 16, type: 'float16', biases: true },
    { experts: 2, topK: 2, hidden: 8, inner: 5, biases: true },
  ]
  it.each(shapes)('compute what the reference does: %o', (shape) => {
    const plan = expertPlan(shape)
    for (const rows of [1, 2, 60]) {
      // Chains of at most 65 products: 65 roundings of sums up to about 8.
      compare(plan, rows, new Map([[0, inputs(rows, shape.hidden)]]), 1e-4)
    }
  })

  it('give a row the same bits alone, among others and with any threads', () => {
    expectAloneAsTogether({ experts: 5, topK: 2, hidden: 64, inner: 70, type: 'bfloat16' })
  })

  function expectAloneAsTogether(shape: MoeShape) {
    const model = new MadeModel(expertPlan(shape))
    const input = inputs(130, shape.hidden)
    const out = model.plan.values.at(-1)!.id
    const run = (rows: Float32Array, options: NativeOptions = {}) =>
      model.run([stepOf(rows.length / shape.hidden, { 0: rows })], [out], options)[0]!.values[out]!
    const together = run(input)
    expect(sameBits(run(input, { threads: 3 }), together)).toBe(true)
    for (const row of [0, 64, 129]) {
      const part = [row * shape.hidden, (row + 1) * shape.hidden] as const
      expect(sameBits(run(input.subarray(...part)), together.subarray(...part))).toBe(true)
    }
  }

  const forms: QuantizedType[] = ['int8', 'int8/16', 'int8/128', 'int4', 'int4/32', 'levels4/64']
  it.each(forms)('of %s are exact where the inputs are codes', (type) => {
    const shape: MoeShape = { experts: 5, topK: 2, hidden: 130, inner: 70, type, biases: true }
    const plan = expertPlan(shape)
    const outOf = (kind: 'route' | 'activation') => {
      const op = plan.ops.find((op) => op.kind === kind)!
      return (op as Extract<typeof op, { kind: 'route' }>).out.id
    }
    // Every group holds ±127, so its scale is 1 and no input is rounded.
    const codes = (count: number, columns: number) =>
      normalNumbers(count).map((x, i) =>
        (i % columns) % 16 === 0
          ? 127 * Math.sign(x)
          : Math.max(-127, Math.min(127, Math.trunc(40 * x))),
      )
    for (const rows of [1, 3, 61]) {
      const given = new Map([
        [0, codes(rows * shape.hidden, shape.hidden)],
        [outOf('activation'), codes(rows * 2 * shape.inner, shape.inner)],
        [
          outOf('route'),
          Float32Array.from({ length: rows * 4 }, (_, i) =>
            i % 4 < 2 ? ((i >> 2) * (i % 4) + i) % 5 : 0.5,
          ),
        ],
      ])
      // Sums of 130 products up to 127 × 4, whose scales and minimums are rounded a group at a time.
      compare(plan, rows, given, 130 * 127 * 4 * 1e-6)
    }
  })

  it('of codes give a row the same bits alone, among others and with any threads', () => {
    expectAloneAsTogether({ experts: 5, topK: 2, hidden: 64, inner: 70, type: 'int4/32' })
  })

  // Two sources whose columns are in different orders become codes of 8 bits.
  it('of codes of 4 bits beside one of 8 give what they give beside their like', async () => {
    const [columns, rows, tokens] = [64, 32, 20]
    const folder = temporaryFolder()
    const rangeOf = (
      name: string,
      type: string,
      data: Uint16Array | Uint32Array | Float32Array,
    ) => {
      writeFileSync(join(folder, name), data)
      return { file: join(folder, name), offset: 0, length: data.byteLength, type }
    }
    const matrix = (name: string, shape: [number, number], numbers: Float32Array) => ({
      ...{ name, shape, ...rangeOf(name, 'float32', numbers) },
    })
    const gptq = (name: string, seed: number, step: number): NativeTensor => {
      const words = normalNumbers((rows * columns) / 8, { seed, deviation: 2 ** 28 })
      const zeros = new Uint32Array((2 * rows) / 8).fill(0x77777777)
      const groups = Uint32Array.from({ length: columns }, (_, i) => ((i * step) % columns) >> 5)
      const parts = {
        scales: rangeOf(`${name}.scales`, 'F16', new Uint16Array(2 * rows).fill(0x2000)),
        zeros: rangeOf(`${name}.zeros`, 'I32', zeros),
        groupOfColumn: rangeOf(`${name}.groups`, 'I32', groups),
      }
      const codes = rangeOf(name, 'I32', Uint32Array.from(words))
      return {
        name,
        shape: [rows, columns],
        ...codes,
        encoding: { name: 'gptq4', group: 32, parts },
      }
    }
    const g = builder('int4/32')
    const x = inputOf(g, columns)
    const router = g.linear('router', x, { weight: g.matrix({ router: 2 }, columns) })
    const routes = g.route('route', router, { topK: 2 })
    const weights = [0, 1].map((e) => g.matrix({ [`gate${e}`]: rows, [`up${e}`]: rows }, columns))
    g.pool('pool', g.expertLinear('experts', x, routes, { weights, split: false }))
    const plan = printPlan(g.build(), { tokens, sequences: 1, samples: 1 })
    const run = async (isa: string, bits: readonly (4 | 8)[]) => {
      const events = new Events()
      const engine = toyEngine(addon, events, { isa })
      await engine.load(plan, [
        matrix('table', [2, columns], normalNumbers(2 * columns)),
        matrix('router', [2, columns], new Float32Array(2 * columns)),
        ...bits.flatMap((bits, e) => [
          gptq(`gate${e}`, 2 * e + 1, 3),
          gptq(`up${e}`, 2 * e + 2, bits === 8 ? 5 : 3),
        ]),
      ])
      const sequences = [{ tokens: Array<number>(tokens).fill(1), blocks: [] }]
      engine.submit(...packToy({ sequences, groups: 0, pools: [[0, tokens, -1]] }))
      await events.until(1)
      await engine.dispose()
      const { pooled } = readResult(events.results[0]!.ints, events.results[0]!.floats)
      return [pooled!.subarray(0, 2 * rows), pooled!.subarray(2 * rows)] as const
    }
    for (const isa of addon.instructionSets) {
      const [four, eight] = [await run(isa, [4, 4]), await run(isa, [8, 8])]
      expect(sameBits(four[0], eight[0])).toBe(false)
      expect(await run(isa, [4, 8])).toEqual([four[0], eight[1]])
      expect(await run(isa, [8, 4])).toEqual([eight[0], four[1]])
    }
  })

  it('add what every token passes, by a gate or fully', () => {
    for (const gated of [true, false]) {
      const g = builder()
      const x = inputOf(g, 12)
      const linear = (name: string, rows: number) =>
        g.linear(name, x, { weight: g.matrix({ [name]: rows }, 12) })
      const routes = g.route('route', linear('router', 4), { topK: 2 })
      const weights = Array.from({ length: 4 }, (_, e) => g.matrix({ [`expert.${e}`]: 12 }, 12))
      const y = g.expertLinear('experts', x, routes, { weights, split: false })
      g.combineExperts('sum', y, routes, {
        shared: linear('shared', 12),
        gate: gated ? linear('gate', 1) : undefined,
      })
      compare(g.build(), 9, new Map([[0, inputs(9, 12)]]), 1e-5)
    }
  })

  it('refuse routes that lead to no expert', () => {
    const plan = expertPlan({ experts: 2, topK: 1, hidden: 4, inner: 4 })
    const routes = plan.ops.find((op) => op.kind === 'route')!.out.id
    const step = stepOf(1, { [routes]: Float32Array.of(2, 1) })
    expect(() => new MadeModel(plan).run([step], [])).toThrow(
      'expertLinear "in": a route leads to no expert',
    )
  })
})

describe('PlanBuilder refuses', () => {
  const g = builder()
  const x = inputOf(g, 8)
  const routes = g.route('routes', x, { topK: 2 })
  const expert = (name: string, rows: number) => g.matrix({ [name]: rows }, 8)

  it.each<[string, () => unknown, string]>([
    [
      'more experts than there are',
      () => g.route('a', x, { topK: 9 }),
      '9 experts are chosen of 8',
    ],
    [
      'groups that do not divide the experts',
      () => g.route('b', x, { topK: 2, groups: 3 }),
      '8 experts do not form 3 equal groups',
    ],
    [
      'more experts than the chosen groups have',
      () => g.route('c', x, { topK: 3, groups: 4, topGroups: 1 }),
      '3 experts are chosen of 2',
    ],
    [
      'routes that no route op wrote',
      () => g.expertLinear('d', x, x, { weights: [expert('d', 4)], split: false }),
      'expertLinear d: value %0 has no routes',
    ],
    [
      'experts of different shapes',
      () =>
        g.expertLinear('e', x, routes, {
          weights: [expert('e0', 4), expert('e1', 5)],
          split: false,
        }),
      'e1 is 5,8 the first is 4,8',
    ],
    [
      'experts of different types',
      () => {
        const mixed = new PlanBuilder({
          ...{ name: 'mixed', vocabSize: 2, cacheType: 'float32' },
          weightType: ([name]) => (name === 'i1' ? 'int8/32' : 'float32'),
        })
        const x = inputOf(mixed, 8)
        const weights = ['i0', 'i1'].map((name) => mixed.matrix({ [name]: 4 }, 8))
        mixed.headLinear('i', x, weights)
      },
      'i1 is of int8/32 the first of float32',
    ],
    [
      'inputs of other columns',
      () => g.expertLinear('f', x, routes, { weights: [expert('f', 4)], split: true }),
      'input has 8 columns, the experts want 16',
    ],
    [
      'a gate without a shared part',
      () => g.combineExperts('g', x, routes, { gate: x }),
      'a gate has one column and stands beside a shared part',
    ],
    [
      'a clamped activation without a gate',
      () => g.activation('h', x, { activation: 'clampedSwiglu', gated: false }),
      'clampedSwiglu wants a gate',
    ],
    [
      'parts that do not divide the columns',
      () => g.activation('i', x, { activation: 'silu', gated: true, parts: 3 }),
      'input has 8 columns, no 3 equal parts',
    ],
  ])('%s', (_, record, message) => {
    expect(record).toThrow(message)
  })
})
