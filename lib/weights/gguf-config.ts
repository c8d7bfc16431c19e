import { basename } from 'node:path'
import { EngineError } from '../errors.js'
import type { FieldNames } from '../models/family.js'
import { fieldNamesOf } from '../models/registry.js'
import { architectureOf, ropeScaling } from './gguf-architectures.js'
import type { Json, MetadataFields } from './gguf-fields.js'
import type { GgufFile } from './gguf.js'

/** What rotary frequencies are divided by, in short sequences and in long ones; none if absent. */
export interface RopeFactors {
  readonly short?: readonly number[]
  readonly long?: readonly number[]
}

/**
 * A GGUF file's metadata as the config.json and generation_config.json that a Hugging Face folder of
 * the same model has. Throws EngineError `unsupported_model` for an architecture without a family.
 */
export function configOfGguf(
  file: GgufFile,
  factors: RopeFactors,
): { config: Json; generationConfig: Json } {
  const architecture = architectureOf(file)
  const { fields } = architecture
  const common = { ...shapeOf(fields), ...ropeOf(fields, factors), ...tensorFacts(file) }
  const config = {
    architectures: [architecture.name],
    model_type: architecture.modelType,
    ...asCalledBy(fieldNamesOf(architecture.name), common),
    ...tokenIds(fields),
    ...architecture.config?.(fields),
  }
  return { config, generationConfig: endTokens(fields) }
}

/** Fields by the family's names. */
function asCalledBy({ names = {} }: FieldNames, fields: Json): Json {
  const called = (name: string) => [names[name] ?? name].flat()[0] ?? name
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [called(name), value]))
}

function shapeOf(fields: MetadataFields): Json {
  const heads = fields.integer('attention.head_count', 1)
  return {
    hidden_size: fields.integer('embedding_length', 1),
    intermediate_size: fields.integer('feed_forward_length', 1),
    num_hidden_layers: fields.integer('block_count', 1),
    num_attention_heads: heads,
    num_key_value_heads: fields.integer('attention.head_count_kv', 1, heads),
    head_dim: fields.headDim,
    max_position_embeddings: fields.integer('context_length', 1),
    ...fields.optional('rms_norm_eps', 'attention.layer_norm_epsilon'),
    ...fields.optional('rms_norm_eps', 'attention.layer_norm_rms_epsilon'),
  }
}

function ropeOf(fields: MetadataFields, factors: RopeFactors): Json {
  const divided = {
    rope_type: 'longrope',
    long_factor: factors.long,
    short_factor: factors.short,
    attention_factor: fields.number('rope.scaling.attn_factor', 1),
    original_max_position_embeddings: fields.integer('context_length', 1),
    ...fields.optional('original_max_position_embeddings', 'rope.scaling.original_context_length'),
  }
  return {
    rope_theta: fields.number('rope.freq_base', 10000),
    partial_rotary_factor:
      fields.integer('rope.dimension_count', 2, fields.headDim) / fields.headDim,
    rope_scaling: factors.long ? divided : ropeScaling(fields),
  }
}

/** What the tensors themselves tell. */
function tensorFacts({ path, tensors }: GgufFile): Json {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]))
  const table = byName.get('token_embd.weight')
  if (table?.shape.length !== 2)
    throw new EngineError(
      'invalid_file',
      `${basename(path)}: expected a matrix token_embd.weight, found ${table ? `[${table.shape.join(', ')}]` : 'none'}`,
    )
  const types = new Set(tensors.filter(({ shape }) => shape.length > 1).map(({ dtype }) => dtype))
  return {
    vocab_size: table.shape[0],
    tie_word_embeddings: !byName.has('output.weight'),
    fused_qkv: byName.has('blk.0.attn_qkv.weight'),
    attention_bias: byName.has('blk.0.attn_q.bias') || byName.has('blk.0.attn_qkv.bias'),
    attention_out_bias: byName.has('blk.0.attn_output.bias'),
    mlp_bias: byName.has('blk.0.ffn_up.bias'),
    dtype: types.has('BF16') ? 'bfloat16' : types.has('F16') ? 'float16' : 'float32',
  }
}

function tokenIds(fields: MetadataFields): Json {
  return {
    ...fields.token('bos_token_id'),
    ...fields.token('eos_token_id'),
  }
}

/** A chat's turn may end with another token than a text. */
function endTokens(fields: MetadataFields): Json {
  const names = ['eos_token_id', 'eot_token_id', 'eom_token_id']
  const ids = names.flatMap((name) => Object.values(fields.token(name)))
  return ids.length === 0 ? {} : { eos_token_id: [...new Set(ids)] }
}
