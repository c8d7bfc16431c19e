import type { Rope } from '../plan/ops.js'
import type { RopeConfig } from './rope-config.js'

// Every step is rounded to float32 as the reference implementation does it in its tensors: at
// position 10,000 the unrounded frequencies would turn a pair by a visible angle more or less.
const round = Math.fround

/** The rotary embedding of a config, as the plan declares it. */
export function ropeOf(config: RopeConfig): Omit<Rope, 'id'> {
  const { dim } = config
  const invFreq = inverseFrequencies(config)
  switch (config.kind) {
    case 'default':
    case 'linear':
    case 'llama3':
    case 'proportional':
      return { dim, scale: 1, invFreq }
    case 'yarn':
      return { dim, scale: config.attentionFactor, invFreq }
    case 'longrope': {
      const { longFactors, attentionFactor: scale, originalLength: from } = config
      const long = longFactors ? { from, invFreq: divided(config, longFactors) } : undefined
      return { dim, scale, invFreq, long }
    }
    case 'dynamic': {
      const { theta: base, factor, originalLength: original } = config
      return { dim, scale: 1, invFreq, dynamic: { base, factor, original } }
    }
    default:
      return config satisfies never
  }
}

/** Radians that each pair of columns turns a position. [dim / 2] */
function inverseFrequencies(config: RopeConfig): readonly number[] {
  const plain = Array.from({ length: config.dim / 2 }, (_, i) =>
    round(1 / round(round(config.theta) ** round((2 * i) / config.dim))),
  )
  switch (config.kind) {
    case 'default':
    case 'dynamic':
      return plain
    case 'linear':
      return plain.map((frequency) => round(frequency / round(config.factor)))
    case 'llama3':
      return plain.map((frequency) => llama3Frequency(frequency, config))
    case 'yarn':
      return yarnFrequencies(config)
    case 'longrope':
      return divided(config, config.factors)
    case 'proportional':
      return plain.map((frequency, i) =>
        i < config.turning ? round(frequency / round(config.factor)) : 0,
      )
    default:
      return config satisfies never
  }
}

/** The plain frequencies, each divided by its factor. */
function divided({ theta, dim }: RopeConfig, factors: readonly number[]): readonly number[] {
  return factors.map((factor, i) => {
    const power = round(round(theta) ** round((2 * i) / dim))
    return round(1 / round(round(factor) * power))
  })
}

/** Long waves are stretched by the factor, short ones kept, those between blended. */
function llama3Frequency(frequency: number, rope: Extract<RopeConfig, { kind: 'llama3' }>): number {
  const { factor, lowFreqFactor: low, highFreqFactor: high, originalLength } = rope
  const wavelength = round(round(1 / frequency) * round(2 * Math.PI))
  if (wavelength > round(originalLength / low)) return round(frequency / round(factor))
  if (wavelength < round(originalLength / high)) return frequency
  const turns = round(round(1 / wavelength) * round(originalLength))
  const smooth = round(round(turns - round(low)) / round(high - low))
  const stretched = round(round(round(1 - smooth) * frequency) / round(factor))
  return round(stretched + round(smooth * frequency))
}

/** A ramp over the pairs from the plain frequencies to those stretched by the factor. */
function yarnFrequencies(rope: Extract<RopeConfig, { kind: 'yarn' }>): readonly number[] {
  const [low, high] = yarnRange(rope)
  return Array.from({ length: rope.dim / 2 }, (_, i) => {
    const power = round(round(rope.theta) ** round((2 * i) / rope.dim))
    const plain = round(1 / power)
    const stretched = round(1 / round(round(rope.factor) * power))
    const ramp = Math.min(1, Math.max(0, round(round(i - round(low)) / round(high - low))))
    const keep = round(1 - ramp)
    return round(round(stretched * round(1 - keep)) + round(plain * keep))
  })
}

/** The first and the last pair of the ramp: those that turn betaFast and betaSlow times in all. */
function yarnRange(rope: Extract<RopeConfig, { kind: 'yarn' }>): readonly [number, number] {
  const { dim, theta, originalLength, betaFast, betaSlow, truncate } = rope
  const pairThatTurns = (times: number) =>
    (dim * Math.log(originalLength / (times * 2 * Math.PI))) / (2 * Math.log(theta))
  const first = pairThatTurns(betaFast)
  const last = pairThatTurns(betaSlow)
  const low = Math.max(truncate ? Math.floor(first) : first, 0)
  const high = Math.min(truncate ? Math.ceil(last) : last, dim - 1)
  return [low, low === high ? high + 0.001 : high]
}
