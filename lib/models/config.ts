import { EngineError } from '../errors.js'
import type { ActivationKind, StoredType } from '../plan/ops.js'
import type { FieldNames } from './family.js'
import { Fields } from './fields.js'
import { contextLength, parseRopes, type RopeConfig } from './rope-config.js'

export type { RopeConfig } from './rope-config.js'

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
  /** That of layers with a window. */
  readonly localRope: RopeConfig
  /** Type of the checkpoint's matrices as the config states it; float32 if it does not. */
  readonly storedType: StoredType
  readonly bosTokenId: number | null
  /** Tokens that end an output, config.json's only; generation_config.json may say others. */
  readonly eosTokenIds: readonly number[]
  /** All fields, for what only some families have. */
  readonly options: Fields
}

/**
 * Reads a parsed config.json. `file` is its name in errors, which are EngineErrors: `invalid_file`
 * names the field, what was expected and what was found; `unsupported_model` names what is not supported.
 */
export function parseConfig(json: unknown, file: string, names: FieldNames = {}): ModelConfig {
  const fields = new Fields(json, file, names)
  refuseUnsupported(fields)
  const hiddenSize = fields.integer('hidden_size', { min: 1, max: MOST_COLUMNS })
  const heads = fields.integer('num_attention_heads', { min: 1, max: MOST_HEADS })
  const kvHeads = fields.integer('num_key_value_heads', { min: 1, fallback: heads })
  if (heads % kvHeads !== 0)
    throw invalid(
      `${file}: num_key_value_heads must divide num_attention_heads ${heads}, found ${kvHeads}`,
    )
  const headDim = fields.integer('head_dim', {
    ...{ min: 2, max: MOST_HEAD_COLUMNS },
    fallback: Math.floor(hiddenSize / heads),
  })
  const maxPositions = fields.integer('max_position_embeddings', { min: 1 })
  const ropes = parseRopes(fields, { headDim, maxPositions })
  return Object.freeze({
    architecture: fields.strings('architectures')[0] ?? '',
    modelType: fields.word('model_type'),
    vocabSize: fields.integer('vocab_size', { min: 1 }),
    hiddenSize,
    intermediateSize: fields.integer('intermediate_size', { min: 1, fallback: 4 * hiddenSize }),
    layers: fields.integer('num_hidden_layers', { min: 1, max: MOST_LAYERS }),
    heads,
    kvHeads,
    headDim,
    contextLength: contextLength(ropes, maxPositions),
    normEps: fields.positive('rms_norm_eps', 1e-6),
    activation: parseActivation(fields),
    attentionBias: fields.flag('attention_bias', false),
    mlpBias: fields.flag('mlp_bias', false),
    tiedEmbeddings: fields.flag('tie_word_embeddings', false),
    ...ropes,
    storedType: parseStoredType(fields),
    bosTokenId: fields.ids('bos_token_id')[0] ?? null,
    eosTokenIds: fields.ids('eos_token_id'),
    options: fields,
  })
}

function refuseUnsupported(fields: Fields): void {
  if (fields.flag('rope_interleaved', false))
    throw unsupported(`${fields.where}: rope_interleaved is not supported`)
}

/** A plan has all layers' ops in it, and ropes all frequencies: a config with a slip must not fill the memory. */
const MOST_LAYERS = 10_000
const MOST_COLUMNS = 2 ** 20
const MOST_HEADS = 2 ** 16
const MOST_HEAD_COLUMNS = 2 ** 16

const ACTIVATIONS: Readonly<Record<string, ActivationKind>> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_new: 'geluTanh',
  gelu_pytorch_tanh: 'geluTanh',
  gelu_python_tanh: 'geluTanh',
  gelu_fast: 'geluTanh',
  quick_gelu: 'geluQuick',
  relu: 'relu',
  relu2: 'reluSquared',
  xielu: 'xielu',
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

function invalid(message: string): EngineError {
  return new EngineError('invalid_file', message)
}

function unsupported(message: string): EngineError {
  return new EngineError('unsupported_model', message)
}
