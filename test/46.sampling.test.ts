import { describe, expect, it } from 'vitest'
import { NO_NUMBERS, SAMPLE_PROCESSED } from '../lib/native/step.js'
import { addon, normalNumbers, randomNumbers } from './support/run-plan.js'
import {
  bySorting,
  expectCase,
  expectTruncation,
  fixture,
  fixtureRow,
  probabilities,
  sample,
  type Row,
} from './support/sample-rows.js'

/** Draws in one step of the tests of distributions. */
const BATCH = 1000

describe.each(addon.instructionSets)('%s: probabilities', (isa) => {
  it.each(fixture.cases)('of "$name" are those of the reference', (given) => {
    expectCase(given, { isa })
  })
})

describe('truncation of a large vocabulary', () => {
  const vocabSize = 1031
  const smooth = normalNumbers(vocabSize, { deviation: 3, seed: 3 })
  // Steps of a quarter: every value has many ties, on every border too.
  const tied = smooth.map((x) => Math.round(x * 4) / 4)
  const flat = new Float32Array(vocabSize).fill(-2)
  const settings = [
    { topK: 1 },
    { topK: 40 },
    { topK: 1030 },
    { topP: 0.01 },
    { topP: 0.37 },
    { topP: 0.95 },
    { topP: 0.99999 },
    { minP: 0.02 },
    { minP: 1 },
    { temperature: 0.3, topP: 0.9 },
    { temperature: 2.5, topK: 100, topP: 0.6, minP: 0.001 },
  ]
  it.each(settings)('keeps what sorting keeps: %o', (params) => {
    expectTruncation([smooth, tied, flat], params)
  })
})

describe('processors', () => {
  const logits = [1, 3, 2, -1, 3, 0]
  const drawn = (row: Omit<Row, 'logits'>, values = logits) =>
    sample([{ logits: values, floats: { temperature: 0, ...row.floats }, ...row }]).tokenIds[0]

  it('takes the lowest id of equally likely tokens at temperature 0', () => {
    expect(drawn({ floats: { temperature: 0 } })).toBe(1)
    expect(drawn({ floats: { temperature: 0 }, allowed: [0, 2, 4, 5] })).toBe(4)
  })

  it('applies masks, then biases, then penalties', () => {
    const floats = { temperature: 0 }
    expect(drawn({ floats, allowed: [3, 5] })).toBe(5)
    expect(drawn({ floats, bias: { 1: -Infinity, 4: -Infinity } })).toBe(2)
    expect(drawn({ floats, bias: { 3: 4.5 } })).toBe(3)
    expect(drawn({ floats, bias: { 3: 100 }, allowed: [0, 1] })).toBe(1)
    const seen = [
      [1, 2, 0],
      [4, 0, 1],
    ] as const
    expect(drawn({ floats: { ...floats, presencePenalty: 0.5 }, penalties: seen })).toBe(4)
    expect(drawn({ floats: { ...floats, frequencyPenalty: 0.6 }, penalties: seen })).toBe(4)
    expect(drawn({ floats: { ...floats, repetitionPenalty: 2 }, penalties: seen })).toBe(2)
  })

  it('penalises as documented: divides or multiplies, then subtracts', () => {
    const floats = { repetitionPenalty: 2, frequencyPenalty: 0.25, presencePenalty: 0.5 }
    const penalties = [
      [1, 3, 0],
      [3, 1, 1],
      [2, 0, 1],
    ] as const
    const [found] = probabilities([{ logits, floats, penalties }])
    const wanted = bySorting([1, 3 / 2 - 0.75 - 0.5, 1, -2 - 0.25 - 0.5, 3, 0], {})
    found!.forEach((p, id) => expect(p).toBeCloseTo(wanted[id]!, 6))
  })

  it('lets an infinite bias decide alone', () => {
    const [found] = probabilities([{ logits, bias: { 0: Infinity, 3: Infinity } }])
    found!.forEach((p, id) => expect(p).toBeCloseTo(id === 0 || id === 3 ? 0.5 : 0, 6))
  })

  it('falls back to the most likely token where none is allowed', () => {
    expect(drawn({ allowed: [] })).toBe(1)
    const bias = Object.fromEntries(logits.map((_, id) => [id, -Infinity]))
    expect(sample([{ logits, bias, floats: { topP: 0.5 } }]).tokenIds[0]).toBe(1)
  })

  it('survives logits that are no numbers', () => {
    for (const value of [NaN, -Infinity, Infinity]) {
      const row = { logits: new Array<number>(40).fill(value), ints: { logprobs: 40, topK: 3 } }
      const { tokenIds, ranks, topIds } = sample([{ ...row, floats: { topP: 0.5 } }])
      expect(ranks[0] === NO_NUMBERS).toBe(value !== Infinity)
      expect(tokenIds[0]).toBeGreaterThanOrEqual(0)
      expect(tokenIds[0]).toBeLessThan(40)
      expect([...topIds]).toEqual(row.logits.map((_, id) => id))
    }
    expect(drawn({}, [NaN, 1, NaN, 2, 0, NaN])).toBe(3)
  })
})

describe('log-probabilities', () => {
  const logits = [1, 3, 2, -1, 3, 0]
  const total = Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0))

  it('are of the raw logits, with ranks, and ties by lower id', () => {
    const floats = { temperature: 0, topP: 0.1 }
    const rows = [
      { logits, floats, bias: { 2: 9 }, ints: { logprobs: 3 } },
      { logits, floats, ints: { logprobs: 0 } },
      { logits, floats, ints: { logprobs: -1 } },
      { logits, floats, ints: { logprobs: 100, target: 3 } },
    ]
    const { tokenIds, logprobs, ranks, topStarts, topIds, topLogprobs } = sample(rows)
    expect([...tokenIds]).toEqual([2, 1, 1, 3])
    expect([...ranks]).toEqual([3, 1, 0, 6])
    expect([...topStarts]).toEqual([0, 3, 3, 3, 9])
    expect([...topIds]).toEqual([1, 4, 2, 1, 4, 2, 0, 5, 3])
    const wanted = [...topIds].map((id) => logits[id]! - total)
    topLogprobs.forEach((x, i) => expect(x).toBeCloseTo(wanted[i]!, 6))
    expect(logprobs[0]).toBeCloseTo(2 - total, 6)
    expect(logprobs[1]).toBeCloseTo(3 - total, 6)
    expect(logprobs[2]).toBeNaN()
    expect(logprobs[3]).toBeCloseTo(-1 - total, 6)
  })

  it('are of what is left where processed ones are wanted', () => {
    const ints = { logprobs: 6, flags: SAMPLE_PROCESSED, topK: 2 }
    const { tokenIds, logprobs, ranks, topIds, topLogprobs } = sample([
      { logits, ints },
      { logits, ints: { ...ints, target: 0 } },
    ])
    expect([1, 4]).toContain(tokenIds[0])
    expect(logprobs[0]).toBeCloseTo(Math.log(0.5), 6)
    expect([...ranks]).toEqual([1, 3])
    expect([...topIds.subarray(0, 6)]).toEqual([1, 4, 0, 2, 3, 5])
    expect([...topLogprobs.subarray(2, 6)]).toEqual(new Array(4).fill(-Infinity))
    expect(logprobs[1]).toBe(-Infinity)
  })
})

/** Philox4x32-10, written from its paper. */
function philox(counter: readonly number[], key: readonly number[]): number[] {
  let [c0, c1, c2, c3] = counter.map(BigInt) as [bigint, bigint, bigint, bigint]
  let [k0, k1] = key.map(BigInt) as [bigint, bigint]
  const low = (x: bigint) => x & 0xffffffffn
  for (let round = 0; round < 10; round++) {
    const [a, b] = [0xd2511f53n * c0, 0xcd9e8d57n * c2]
    ;[c0, c1, c2, c3] = [(b >> 32n) ^ c1 ^ k0, low(b), (a >> 32n) ^ c3 ^ k1, low(a)]
    k0 = low(k0 + 0x9e3779b9n)
    k1 = low(k1 + 0xbb67ae85n)
  }
  return [c0, c1, c2, c3].map(Number)
}

describe('random numbers', () => {
  it('are Philox4x32-10: its published vectors', () => {
    const ones = 0xffffffff
    expect(philox([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8])
    expect(philox([ones, ones, ones, ones], [ones, ones])).toEqual([
      0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd,
    ])
    expect(
      philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
    ).toEqual([0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1])
  })

  it('come from seed, stream and counter, and pick by the inverse of the distribution', () => {
    const logits = new Float32Array(1024)
    const random = randomNumbers(9)
    const word = () => (random() * 2 ** 32) | 0
    const rows = Array.from({ length: 200 }, () => {
      const ints = { seedLow: word(), seedHigh: word(), stream: word(), counter: word() }
      return { logits, ints }
    })
    rows[0] = { logits, ints: { seedLow: 0, seedHigh: 0, stream: 0, counter: 0 } }
    const { tokenIds } = sample(rows)
    rows.forEach(({ ints: { seedLow, seedHigh, stream, counter } }, r) => {
      const unsigned = (x: number) => x >>> 0
      const words = philox(
        [unsigned(counter), unsigned(stream), 0, 0],
        [unsigned(seedLow), unsigned(seedHigh)],
      )
      const uniform = ((words[0]! >>> 5) * 2 ** 26 + (words[1]! >>> 6)) / 2 ** 53
      expect(tokenIds[r], `row ${r}`).toBe(Math.floor(uniform * logits.length))
    })
  })

  it('do not depend on the other rows, the threads or the instruction set', () => {
    const logits = normalNumbers(300, { deviation: 2 })
    const rows = Array.from({ length: 60 }, (_, counter) => ({
      logits,
      ints: { counter, topK: counter % 2 ? 20 : 0 },
      floats: { topP: counter % 3 ? 0.9 : 1 },
    }))
    const { tokenIds } = sample(rows, { threads: 3 })
    for (const isa of addon.instructionSets)
      expect(sample(rows, { isa, threads: 1 }).tokenIds).toEqual(tokenIds)
    rows.forEach((row, r) => {
      if (r % 7 === 0) expect(sample([row]).tokenIds[0]).toBe(tokenIds[r])
    })
  })

  it.each(fixture.cases)('are spread as "$name" wants', ({ params, probabilities: all }) => {
    const draws = 10_000
    all.forEach((wanted, r) => {
      const row = fixtureRow(params, r)
      const counts = new Float64Array(wanted.length)
      for (let stream = 0; stream < draws / BATCH; stream++) {
        const rows = Array.from({ length: BATCH }, (_, counter) => ({
          ...row,
          ints: { ...row.ints, counter, stream, seedLow: 77 },
        }))
        for (const id of sample(rows).tokenIds) counts[id]!++
      }
      const { statistic, freedom } = chiSquared(counts, wanted, draws)
      // One fair sampler in 30 000 goes beyond this (Wilson and Hilferty's normal approximation).
      const spread = 2 / (9 * Math.max(freedom, 1))
      expect(statistic).toBeLessThan(Math.max(freedom, 1) * (1 - spread + 4 * spread ** 0.5) ** 3)
    })
  })
})

/** Tokens that are expected fewer than five times count as one; impossible ones must not come. */
function chiSquared(counts: Float64Array, wanted: readonly number[], draws: number) {
  let [statistic, bins, rareFound, rareWanted] = [0, 0, 0, 0]
  wanted.forEach((p, id) => {
    if (p === 0) expect(counts[id], `token ${id}`).toBe(0)
    if (p * draws >= 5) {
      statistic += (counts[id]! - p * draws) ** 2 / (p * draws)
      bins++
    } else {
      rareFound += counts[id]!
      rareWanted += p * draws
    }
  })
  if (rareWanted >= 5) {
    statistic += (rareFound - rareWanted) ** 2 / rareWanted
    bins++
  } else {
    expect(rareFound).toBeLessThan(25)
  }
  return { statistic, freedom: bins - 1 }
}
