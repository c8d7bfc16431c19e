import { EngineError } from '../errors.js'
import { Fields } from './fields.js'

/** The rotary embedding that a config asks for. Lengths are in tokens. */
export type RopeConfig = RopeBase &
  (
    | { readonly kind: 'default' }
    | { readonly kind: 'linear'; readonly factor: number }
    | { readonly kind: 'dynamic'; readonly factor: number; readonly originalLength: number }
    | {
        readonly kind: 'llama3'
        readonly factor: number
        readonly lowFreqFactor: number
        readonly highFreqFactor: number
        readonly originalLength: number
      }
    | {
        readonly kind: 'yarn'
        readonly factor: number
        readonly originalLength: number
        readonly betaFast: number
        readonly betaSlow: number
        /** Multiplies cosine and sine. */
        readonly attentionFactor: number
        /** Round the bounds of the ramp to whole dimensions. */
        readonly truncate: boolean
        /** Queries grow with their position, by so much for each original length. */
        readonly queryBeta?: number
        /** Multiplies the scores of latent attention. */
        readonly scoreFactor?: number
      }
    | {
        readonly kind: 'longrope'
        /** Divide the frequencies, in sequences up to the original length. */
        readonly factors: readonly number[]
        /** The same in longer ones; null: the model has none. */
        readonly longFactors: readonly number[] | null
        readonly originalLength: number
        readonly attentionFactor: number
      }
    | {
        readonly kind: 'proportional'
        readonly factor: number
        /** Pairs of all the head's that turn. */
        readonly turning: number
      }
  )

interface RopeBase {
  /** The base of the frequencies. */
  readonly theta: number
  /** Rotated columns of a head. */
  readonly dim: number
}

/** The ropes of layers that see all tokens, and of those with a window. */
export interface Ropes {
  readonly rope: RopeConfig
  readonly localRope: RopeConfig
}

/** What a head and a sequence of the model can be. */
interface Lengths {
  readonly headDim: number
  readonly maxPositions: number
}

/**
 * Older transformers wrote `rope_theta` and `rope_scaling`, newer ones put all in `rope_parameters`,
 * where kinds of layers may have their own.
 */
export function parseRopes(config: Fields, lengths: Lengths): Ropes {
  const name = ['rope_scaling', 'rope_parameters'].find((key) => config.has(key))
  const fields = name ? config.object(name) : new Fields({}, config.where)
  const parse = (given: Fields) => parseRope(config, given, lengths)
  if (fields.has('full_attention')) {
    const rope = parse(fields.object('full_attention'))
    const local = fields.has('sliding_attention') ? parse(fields.object('sliding_attention')) : rope
    return { rope, localRope: local }
  }
  const rope = parse(fields)
  if (!config.has('rope_local_base_freq')) return { rope, localRope: rope }
  const theta = config.positive('rope_local_base_freq')
  return { rope, localRope: { kind: 'default', theta, dim: rope.dim } }
}

function parseRope(config: Fields, fields: Fields, lengths: Lengths): RopeConfig {
  const { headDim, maxPositions } = lengths
  const theta = fields.positive('rope_theta', config.positive('rope_theta', 10000))
  const partial = fields.positive(
    'partial_rotary_factor',
    config.positive('partial_rotary_factor', 1),
  )
  const kind = fields.text('rope_type', fields.text('type', 'default'))
  if (kind === 'proportional') {
    const turning = Math.floor(Math.floor(partial * headDim) / 2)
    return { kind, theta, dim: headDim, turning, factor: fields.positive('factor', 1) }
  }
  const dim = config.integer('rotary_dim', { min: 2, fallback: Math.floor(headDim * partial) })
  if (dim < 2 || dim % 2 !== 0 || dim > headDim)
    throw invalid(
      `${config.where}: rotated columns must be even, at least 2 and within head_dim ${headDim}, found ${dim}`,
    )
  const base = { theta, dim }
  switch (kind) {
    case 'default':
      return { kind, ...base }
    case 'linear':
      return { kind, ...base, factor: fields.positive('factor') }
    case 'dynamic':
      if (fields.has('alpha')) return { kind: 'default', dim, theta: stretched(theta, dim, fields) }
      return { kind, ...base, factor: fields.positive('factor'), originalLength: maxPositions }
    case 'llama3':
      return {
        kind,
        ...base,
        factor: fields.positive('factor'),
        lowFreqFactor: fields.positive('low_freq_factor'),
        highFreqFactor: fields.positive('high_freq_factor'),
        originalLength: originalLength(config, fields, maxPositions),
      }
    case 'yarn':
      return { kind, ...base, ...parseYarn(config, fields, maxPositions) }
    case 'longrope':
    case 'su':
      return { kind: 'longrope', ...base, ...parseLongrope(config, fields, dim, maxPositions) }
    default:
      throw unsupported(
        `${fields.where}: rope_type "${kind}" is not supported; supported are default, linear, dynamic, llama3, yarn, longrope, proportional`,
      )
  }
}

function parseYarn(config: Fields, fields: Fields, maxPositions: number) {
  const original = originalLength(config, fields, maxPositions)
  const factor = fields.positive('factor', maxPositions / original)
  return {
    factor,
    originalLength: original,
    betaFast: fields.positive('beta_fast', 32),
    betaSlow: fields.positive('beta_slow', 1),
    attentionFactor: fields.positive('attention_factor', yarnAttentionFactor(fields, factor)),
    truncate: fields.flag('truncate', true),
    ...(fields.has('llama_4_scaling_beta') && {
      queryBeta: fields.number('llama_4_scaling_beta'),
    }),
    scoreFactor: yarnMagnitude(factor, fields.number('mscale_all_dim', 0)) ** 2,
  }
}

/** The base that an NTK factor `alpha` gives whatever the length. */
function stretched(theta: number, dim: number, fields: Fields): number {
  return theta * fields.positive('alpha') ** (dim / (dim - 2))
}

function parseLongrope(config: Fields, fields: Fields, dim: number, maxPositions: number) {
  const original = originalLength(config, fields, maxPositions)
  const factors = (name: string) => {
    const found = fields.numbers(name)
    if (found.length === dim / 2 && found.every((factor) => factor > 0)) return found
    throw invalid(
      `${fields.where}: ${name} must be ${dim / 2} numbers above 0, found ${found.length}`,
    )
  }
  const growth = fields.positive('factor', maxPositions / original)
  const usual = growth <= 1 ? 1 : Math.sqrt(1 + Math.log(growth) / Math.log(original))
  const [short, long] = [factors('short_factor'), factors('long_factor')]
  return {
    factors: short,
    longFactors: maxPositions > original ? long : null,
    originalLength: original,
    attentionFactor: fields.positive('attention_factor', usual),
  }
}

/** 0.1 × ln(factor) + 1, or the quotient of two such with the factors `mscale` and `mscale_all_dim`. */
function yarnAttentionFactor(fields: Fields, factor: number): number {
  const scale = fields.number('mscale', 0)
  const scaleAllDim = fields.number('mscale_all_dim', 0)
  return scale && scaleAllDim
    ? yarnMagnitude(factor, scale) / yarnMagnitude(factor, scaleAllDim)
    : yarnMagnitude(factor, 1)
}

function yarnMagnitude(factor: number, scale: number): number {
  return factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1
}

/** A length beside the rope parameters takes precedence over one among them. */
function originalLength(config: Fields, fields: Fields, maxPositions: number): number {
  const name = 'original_max_position_embeddings'
  const inner = fields.integer(name, { min: 1, fallback: maxPositions })
  return config.integer(name, { min: 1, fallback: inner })
}

/**
 * `max_position_embeddings` is the scaled length already, or what a factor scales; where layers with a
 * window have a rope of their own it is the former.
 */
export function contextLength({ rope, localRope }: Ropes, maxPositions: number): number {
  if (localRope !== rope) return maxPositions
  switch (rope.kind) {
    case 'default':
    case 'llama3':
    case 'longrope':
    case 'proportional':
      return maxPositions
    case 'linear':
    case 'dynamic':
      return Math.floor(maxPositions * rope.factor)
    case 'yarn':
      return Math.floor(rope.originalLength * rope.factor)
    default:
      return rope satisfies never
  }
}

function invalid(message: string): EngineError {
  return new EngineError('invalid_file', message)
}

function unsupported(message: string): EngineError {
  return new EngineError('unsupported_model', message)
}
