import { describe, expect, it } from 'vitest'
import type { RopeConfig } from '../lib/models/rope-config.js'
import { ropeOf } from '../lib/models/rope.js'
import { rotaryFrequency } from './support/reference-rows.js'

// Expected numbers: the definitions of transformers 5.23 evaluated in float32 with NumPy 2. Powers
// and quotients there may differ from correctly rounded ones in the last bit or two.
const LAST_BITS = 3e-7

const YARN = { betaFast: 32, betaSlow: 1, truncate: true, attentionFactor: 1.138629436111989 }
const CASES: readonly (readonly [string, RopeConfig, readonly number[]])[] = [
  [
    'default',
    { kind: 'default', theta: 10000, dim: 16 },
    [
      1, 0.3162277638912201, 0.10000000149011612, 0.03162277862429619, 0.009999999776482582,
      0.003162277862429619, 0.0010000000474974513, 0.0003162277862429619,
    ],
  ],
  [
    'linear',
    { kind: 'linear', theta: 10000, dim: 16, factor: 4 },
    [
      0.25, 0.07905694097280502, 0.02500000037252903, 0.007905694656074047, 0.0024999999441206455,
      0.0007905694656074047, 0.0002500000118743628, 7.905694656074047e-5,
    ],
  ],
  [
    'llama3',
    {
      kind: 'llama3',
      ...{ theta: 500000, dim: 16, factor: 8, originalLength: 8192 },
      ...{ lowFreqFactor: 1, highFreqFactor: 4 },
    },
    [
      1, 0.193922758102417, 0.03760603070259094, 0.00729266507551074, 0.0005248460220173001,
      3.428102354519069e-5, 6.647870577580761e-6, 1.289173155782919e-6,
    ],
  ],
  [
    'yarn',
    { kind: 'yarn', theta: 10000, dim: 16, factor: 4, originalLength: 256, ...YARN },
    [
      1, 0.2569350600242615, 0.0625, 0.013834965415298939, 0.0024999999441206455,
      0.0007905694656074047, 0.0002500000118743628, 7.905694656074047e-5,
    ],
  ],
  [
    'yarn with a ramp between whole dimensions',
    {
      ...{ kind: 'yarn', theta: 10000, dim: 16, factor: 4, originalLength: 256 },
      ...{ ...YARN, truncate: false, betaFast: 16, betaSlow: 2 },
    },
    [
      1, 0.29152563214302063, 0.05066439509391785, 0.007905694656074047, 0.0024999999441206455,
      0.0007905694656074047, 0.0002500000118743628, 7.905694656074047e-5,
    ],
  ],
]

/** What the dynamic rope below turns at position 4095, a sequence of 4096 tokens. */
const GROWN = [
  1, 0.2702961266040802, 0.07305999100208282, 0.019747832790017128, 0.005337762646377087,
  0.0014427765272557735, 0.000389976950827986, 0.00010540925723034889,
]

function expectFrequencies(
  found: readonly number[],
  expected: readonly number[],
  tolerance = LAST_BITS,
): void {
  expect(found).toHaveLength(expected.length)
  found.forEach((frequency, i) => {
    expect(Math.abs(frequency / expected[i]! - 1), `pair ${i}`).toBeLessThan(tolerance)
  })
}

describe('inverse frequencies', () => {
  it.each(CASES)('%s', (_, config, expected) => {
    expectFrequencies(ropeOf(config).invFreq, expected)
  })

  it('are float32 numbers', () => {
    for (const [, config] of CASES)
      for (const frequency of ropeOf(config).invFreq) expect(Math.fround(frequency)).toBe(frequency)
  })

  it('come with the attention factor of yarn as their scale', () => {
    const scales = CASES.map(([, config]) => ropeOf(config).scale)
    expect(scales).toEqual([1, 1, 1, YARN.attentionFactor, YARN.attentionFactor])
  })
})

describe('a dynamic rope', () => {
  const base = { theta: 10000, dim: 16 }
  const rope = ropeOf({ kind: 'dynamic', ...base, factor: 2, originalLength: 2048 })
  const at = (position: number) =>
    rope.invFreq.map((_, i) => rotaryFrequency({ id: 0, ...rope }, i, position))

  it('has the plain frequencies and says how they grow', () => {
    expect(rope.invFreq).toEqual(ropeOf({ kind: 'default', ...base }).invFreq)
    expect(rope.dynamic).toEqual({ base: 10000, factor: 2, original: 2048 })
  })

  it('keeps them up to the original length and stretches them beyond', () => {
    expect(at(2047)).toEqual(rope.invFreq)
    expectFrequencies(at(4095), GROWN, 1e-6)
  })
})
