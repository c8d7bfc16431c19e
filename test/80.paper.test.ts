import { describe, expect, test } from 'vitest'
import { figures } from '../bench/paper/figures/all.js'
import { paperKnee } from '../bench/paper/figures/rate-panels.js'
import { crossing, findCurve, KNEE_LATENCY } from '../bench/paper/simulation/curve.js'
import { nativeHost, pythonHost, stepSeconds } from '../bench/paper/simulation/cost-model.js'
import { models } from '../bench/paper/simulation/models.js'
import { replay } from '../bench/paper/simulation/replay.js'
import type { StepLoad } from '../bench/paper/simulation/step-load.js'
import { BuddyAllocator } from '../bench/paper/systems/buddy-allocator.js'
import { systems } from '../bench/paper/systems/serving-systems.js'
import { Random } from '../bench/paper/workload/random.js'
import { datasetTrace } from '../bench/paper/workload/trace.js'

const QUICK = true

describe('the quick figures', () => {
  for (const figure of figures.filter((one) => one.jobs(QUICK).length > 0)) {
    test(`${figure.title}: every row lies in its band`, () => {
      const { rows, plot } = figure.report(figure.jobs(QUICK).map((job) => figure.run(job)))
      const banded = rows.filter(({ passed }) => passed !== null)
      expect(rows.length).toBeGreaterThan(0)
      expect(banded.filter(({ passed }) => !passed)).toEqual([])
      expect(plot).toMatch(/^<svg .*<\/svg>$/)
    })
  }
})

describe('the workload', () => {
  test('the generator is mulberry32', () => {
    const random = new Random(17)
    const first = [random.next(), random.next(), random.next()]
    expect(first.map((u) => u.toFixed(10))).toEqual([
      '0.6771502960',
      '0.1926569212',
      '0.5313839065',
    ])
  })

  test('a trace has the paper’s mean lengths, and every request fits the model', () => {
    const trace = datasetTrace('sharegpt', { rate: 2, duration: 3600 })
    const mean = (of: (one: (typeof trace)[number]) => number) =>
      trace.reduce((sum, one) => sum + of(one), 0) / trace.length
    expect(trace.length).toBe(7119)
    expect(mean(({ input }) => input)).toBeCloseTo(166.356, 3)
    expect(mean(({ output }) => output)).toBeCloseTo(336.862, 3)
    expect(trace.every(({ input, output }) => input + output < 2048)).toBe(true)
    const [first] = trace
    expect([first!.time.toFixed(4), first!.input, first!.output]).toEqual(['0.5653', 9, 80])
  })
})

describe('the cost model', () => {
  const load = (parts: Partial<StepLoad>): StepLoad => ({
    decodes: 0,
    prefills: 0,
    groups: (parts.decodes ?? 0) + (parts.prefills ?? 0),
    prefillTokens: 0,
    longestPrefill: 0,
    prefillPairs: 0,
    contextTokens: 0,
    swappedIn: 0,
    ...parts,
  })
  const one = load({ decodes: 1, contextTokens: 450 })
  const many = load({ decodes: 100, contextTokens: 8000 })
  const prompt = load({ prefills: 1, prefillTokens: 512, prefillPairs: 512 ** 2 })

  test.each([
    ['OPT-13B', 30.65, 67.731, 101.098],
    ['OPT-66B', 51.101, 92.776, 151.944],
    ['OPT-175B', 66.752, 116.17, 211.736],
  ] as const)('%s takes the specified milliseconds', (name, single, batch, prefill) => {
    const times = [one, many, prompt].map(
      (step) => 1000 * stepSeconds(step, models[name], pythonHost),
    )
    expect(times[0]).toBeCloseTo(single, 3)
    expect(times[1]).toBeCloseTo(batch, 3)
    expect(times[2]).toBeCloseTo(prefill, 3)
  })

  test('swapping is charged for both ways', () => {
    const swapped = stepSeconds({ ...one, swappedIn: 10 }, models['OPT-13B'], nativeHost)
    const bytes = 10 * 16 * 819_200
    const extra = swapped - stepSeconds(one, models['OPT-13B'], nativeHost)
    expect(extra).toBeCloseTo((2 * bytes) / 20e9, 9)
  })
})

describe('the buddy allocator', () => {
  test('carves a pool into the powers of two that it is the sum of', () => {
    const buddies = new BuddyAllocator(983)
    for (let i = 0; i < 7; i++) expect(buddies.allocate(128, 1)).not.toBeNull()
    expect(buddies.allocate(128, 1)).toBeNull()
    for (const size of [64, 16, 4, 2, 1]) expect(buddies.allocate(size, 1)).not.toBeNull()
    expect(buddies.allocate(1, 1)).toBeNull()
  })

  test('splits what is larger, joins what is released, and gives all chunks or none', () => {
    const buddies = new BuddyAllocator(128)
    expect(buddies.allocate(64, 3)).toBeNull()
    const [first, second] = buddies.allocate(32, 2)!
    expect([first, second]).toEqual([0, 32])
    expect(buddies.allocate(128, 1)).toBeNull()
    buddies.release(first!, 32)
    buddies.release(second!, 32)
    expect(buddies.allocate(128, 1)).toEqual([0])
  })
})

describe('the systems', () => {
  const model = models['OPT-13B']
  const trace = datasetTrace('sharegpt', { rate: 2, duration: 300 })

  test.each(['orca-max', 'orca-pow2', 'orca-oracle', 'vllm'] as const)(
    '%s finishes every request and leaves no block behind',
    (name) => {
      let steps = 0
      const { finished } = replay({
        system: systems[name],
        model,
        trace,
        observe(_step, scheduler) {
          if (steps++ % 500 === 0) scheduler.checkIntegrity()
        },
      })
      expect(finished).toBe(trace.length)
    },
  )

  test('Orca (Max) never serves more than seven sequences of full length, nor preempts', () => {
    let most = 0
    const { preemptions } = replay({
      system: systems['orca-max'],
      model,
      trace,
      observe: ({ sequences }) => void (most = Math.max(most, sequences.length)),
    })
    expect([most, preemptions]).toEqual([7, 0])
  })

  test('FasterTransformer’s requests all end with the longest of their batch', () => {
    const batch = [10, 20, 30].map((output) => ({ time: 0, input: 50, output }))
    const { steps, latency } = replay({ system: systems.ft, model, trace: batch, warmUp: 0 })
    expect(steps).toBe(30)
    expect(latency.quantile(1) / latency.quantile(0)).toBeCloseTo(3, 9)
  })

  test('a replay stops where its mean latency must exceed the limit', () => {
    const overload = datasetTrace('sharegpt', { rate: 8, duration: 300 })
    const whole = replay({ system: systems.vllm, model, trace: overload })
    const cut = replay({ system: systems.vllm, model, trace: overload, latencyLimit: 1 })
    expect(cut.latency.exceeded).toBe(true)
    expect(cut.latency.mean).toBeGreaterThan(1)
    expect(cut.latency.mean).toBeLessThan(whole.latency.mean)
    expect(cut.steps).toBeLessThan(whole.steps)
  })
})

describe('curves', () => {
  test('the paper’s knees are read off its digitised lines', () => {
    expect(paperKnee('12a', 'vllm')).toBeCloseTo(1.929, 3)
    expect(paperKnee('12f', 'orca-oracle')).toBeCloseTo(19.17, 2)
    expect(
      crossing(
        [
          [1, 0.1],
          [2, 0.2],
        ],
        KNEE_LATENCY,
      ),
    ).toBeNaN()
  })

  test('a knee is found wherever the first rates lie', () => {
    const latencyAt = (rate: number) => 0.05 + (rate / 10) ** 8
    const knee = 10 * 0.45 ** (1 / 8)
    for (const rates of [[1, 5], [8, 9, 10], [20]]) {
      expect(Math.abs(findCurve(rates, latencyAt).knee / knee - 1)).toBeLessThan(0.02)
    }
  })
})
