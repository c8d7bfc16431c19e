import { EngineError } from '../errors.js'
import type { ActivationKind, StoredType } from '../plan/ops.js'
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
      }
  )

interface RopeBase {
  /** The base of the frequencies. */
  readonly theta: number
  /** Rotated columns of a head. */
  readonly dim: number
}

/** A model's config.json in one form, whatever generation of transformers wrote it. Frozen. */
export interface ModelConfig {
  /** As in `architectures`, such as `LlamaForCausalLM`. */
  readonly architecture: string
  /** As in `model_type`, such as `llama`. */
  readonly modelType: string
  readonly vocabSize: number
  /** Columns of the hidden state. */
  readonly hiddenSize: number
  /** Columns of the gate, and of the up projection. */
  readonly intermediateSize: number
  readonly layers: number
  /** Query heads of a layer. */
  readonly heads: number
  /** Key/value heads of a layer; they divide `heads`. */
  readonly kvHeads: number
  /** Columns of a head. */
  readonly headDim: number
  /** Tokens of the longest sequence that the model is meant for, rope scaling included. */
  readonly contextLength: number
  readonly normEps: number
  readonly activation: ActivationKind
  readonly attentionBias: boolean
  readonly mlpBias: boolean
  /** The output head is the embedding table. */
  readonly tiedEmbeddings: boolean
  readonly rope: RopeConfig
  /** Type of the checkpoint's matrices as the config states it; float32 if it does not. */
  readonly storedType: StoredType
  readonly bosTokenId: number | null
  /** Tokens that end an output, config.json's only; generation_config.json may say others. */
  readonly eosTokenIds: readonly number[]
}

/**
 * Reads a parsed config.json. `file` is its name in errors, which are EngineErrors: `invalid_file`
 * names the field, what was expected and what was found; `unsupported_model` names what is not supported.
 */
export function parseConfig(json: unknown, file: string): ModelConfig {
  const fields = new Fields(json, file)
  refuseUnsupported(fields)
  const hiddenSize = fields.integer('hidden_size', { min: 1 })
  const heads = fields.integer('num_attention_heads', { min: 1 })
  const kvHeads = fields.integer('num_key_value_heads', { min: 1, fallback: heads })
  if (heads % kvHeads !== 0)
    throw invalid(
      `${file}: num_key_value_heads must divide num_attention_heads ${heads}, found ${kvHeads}`,
    )
  const headDim = fields.integer('head_dim', { min: 2, fallback: Math.floor(hiddenSize / heads) })
  const maxPositions = fields.integer('max_position_embeddings', { min: 1 })
  const rope = parseRope(fields, headDim, maxPositions)
  return Object.freeze({
    architecture: fields.strings('architectures')[0] ?? '',
    modelType: fields.word('model_type'),
    vocabSize: fields.integer('vocab_size', { min: 1 }),
    hiddenSize,
    intermediateSize: fields.integer('intermediate_size', { min: 1 }),
    layers: fields.integer('num_hidden_layers', { min: 1, max: MOST_LAYERS }),
    heads,
    kvHeads,
    headDim,
    contextLength: contextLength(rope, maxPositions),
    normEps: fields.positive('rms_norm_eps', 1e-6),
    activation: parseActivation(fields),
    attentionBias: fields.flag('attention_bias', false),
    mlpBias: fields.flag('mlp_bias', false),
    tiedEmbeddings: fields.flag('tie_word_embeddings', false),
    rope,
    storedType: parseStoredType(fields),
    bosTokenId: fields.ids('bos_token_id')[0] ?? null,
    eosTokenIds: fields.ids('eos_token_id'),
  })
}

function refuseUnsupported(fields: Fields): void {
  if (fields.flag('rope_interleaved', false))
    throw unsupported(`${fields.where}: rope_interleaved is not supported`)
}

/** A plan has all layers' ops in it: a config with a slip must not fill the memory. */
const MOST_LAYERS = 10_000

const ACTIVATIONS: Readonly<Record<string, ActivationKind>> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_new: 'geluTanh',
  gelu_pytorch_tanh: 'geluTanh',
  relu: 'relu',
}

function parseActivation(fields: Fields): ActivationKind {
  return choose(fields, 'hidden_act', fields.text('hidden_act', 'silu'), ACTIVATIONS)
}

const STORED_TYPES: Readonly<Record<string, StoredType>> = {
  float32: 'float32',
  bfloat16: 'bfloat16',
  float16: 'float16',
}

/** Older transformers wrote `torch_dtype`, newer ones write `dtype`. */
function parseStoredType(fields: Fields): StoredType {
  const name = fields.has('dtype') ? 'dtype' : 'torch_dtype'
  return choose(fields, name, fields.text(name, 'float32'), STORED_TYPES)
}

function choose<T>(
  fields: Fields,
  name: string,
  found: string,
  all: Readonly<Record<string, T>>,
): T {
  if (Object.hasOwn(all, found)) return all[found]!
  const known = Object.keys(all).join(', ')
  throw unsupported(`${fields.where}: ${name} "${found}" is not supported; supported are ${known}`)
}

/** Older transformers wrote `rope_theta` and `rope_scaling`, newer ones put all in `rope_parameters`. */
function parseRope(config: Fields, headDim: number, maxPositions: number): RopeConfig {
  const name = ['rope_scaling', 'rope_parameters'].find((key) => config.has(key))
  const fields = name ? config.object(name) : new Fields({}, config.where)
  const theta = fields.positive('rope_theta', config.positive('rope_theta', 10000))
  const partial = fields.positive(
    'partial_rotary_factor',
    config.positive('partial_rotary_factor', 1),
  )
  const dim = Math.floor(headDim * partial)
  if (dim < 2 || dim % 2 !== 0 || dim > headDim)
    throw invalid(
      `${config.where}: rotated columns must be even, at least 2 and within head_dim ${headDim}, found ${dim}`,
    )
  const base = { theta, dim }
  const kind = fields.text('rope_type', fields.text('type', 'default'))
  switch (kind) {
    case 'default':
      return { kind, ...base }
    case 'linear':
      return { kind, ...base, factor: fields.positive('factor') }
    case 'dynamic':
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
    default:
      throw unsupported(
        `${fields.where}: rope_type "${kind}" is not supported; supported are default, linear, dynamic, llama3, yarn`,
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
  }
}

/** 0.1 × ln(factor) + 1, or the quotient of two such with the factors `mscale` and `mscale_all_dim`. */
function yarnAttentionFactor(fields: Fields, factor: number): number {
  const magnitude = (scale: number) => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1)
  const scale = fields.number('mscale', 0)
  const scaleAllDim = fields.number('mscale_all_dim', 0)
  return scale && scaleAllDim ? magnitude(scale) / magnitude(scaleAllDim) : magnitude(1)
}

/** A length beside the rope parameters takes precedence over one among them. */
function originalLength(config: Fields, fields: Fields, maxPositions: number): number {
  const name = 'original_max_position_embeddings'
  const inner = fields.integer(name, { min: 1, fallback: maxPositions })
  return config.integer(name, { min: 1, fallback: inner })
}

/** Llama 3's `max_position_embeddings` is the scaled length already; the others' is what they scale. */
function contextLength(rope: RopeConfig, maxPositions: number): number {
  switch (rope.kind) {
    case 'default':
    case 'llama3':
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
