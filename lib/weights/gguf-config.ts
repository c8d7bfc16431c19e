import { basename } from 'node:path'
import { EngineError } from '../errors.js'
import type { Fields } from '../models/fields.js'
import { metadataOf, type GgufFile } from './gguf.js'

type Json = Readonly<Record<string, unknown>>

/** What rotary frequencies are divided by, in short sequences and in long ones; none if absent. */
export interface RopeFactors {
  readonly short?: readonly number[]
  readonly long?: readonly number[]
}

/** What a GGUF architecture is called in a config.json, and what its config says beyond the common. */
interface Architecture {
  readonly name: string
  readonly modelType: string
  /** Further fields of config.json; `fields` are the architecture's own, without its prefix. */
  readonly config?: (fields: MetadataFields) => Json
}

const window = (fields: MetadataFields): Json =>
  fields.has('attention.sliding_window')
    ? { sliding_window: fields.integer('attention.sliding_window', 0) || null }
    : {}

const gemma = { hidden_act: 'gelu_pytorch_tanh', hidden_activation: 'gelu_pytorch_tanh' }

/** The largest Gemmas, known by their layers, scale queries by the hidden state's share of a head. */
const queryScale = (fields: MetadataFields, largest: number): Json => {
  const share = fields.integer('embedding_length', 1) / fields.integer('attention.head_count', 1)
  const isLargest = fields.integer('block_count', 1) === largest
  return { query_pre_attn_scalar: isLargest ? share : fields.headDim }
}

const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  llama: { name: 'LlamaForCausalLM', modelType: 'llama' },
  qwen2: { name: 'Qwen2ForCausalLM', modelType: 'qwen2' },
  qwen3: { name: 'Qwen3ForCausalLM', modelType: 'qwen3' },
  gemma: { name: 'GemmaForCausalLM', modelType: 'gemma', config: () => gemma },
  gemma2: {
    name: 'Gemma2ForCausalLM',
    modelType: 'gemma2',
    config: (fields) => ({
      ...gemma,
      ...window(fields),
      ...queryScale(fields, 46),
      attn_logit_softcapping: fields.number('attn_logit_softcapping'),
      final_logit_softcapping: fields.number('final_logit_softcapping'),
    }),
  },
  gemma3: {
    name: 'Gemma3ForCausalLM',
    modelType: 'gemma3_text',
    config: (fields) => ({
      ...gemma,
      ...window(fields),
      ...queryScale(fields, 62),
      rope_local_base_freq: fields.number('rope.freq_base_swa', 10000),
      ...fields.optional('final_logit_softcapping', 'final_logit_softcapping'),
    }),
  },
  phi3: { name: 'Phi3ForCausalLM', modelType: 'phi3', config: window },
  olmo2: { name: 'Olmo2ForCausalLM', modelType: 'olmo2' },
  smollm3: { name: 'SmolLM3ForCausalLM', modelType: 'smollm3' },
  arcee: { name: 'ArceeForCausalLM', modelType: 'arcee', config: () => ({ hidden_act: 'relu2' }) },
}

/**
 * A GGUF file's metadata as the config.json and generation_config.json that a Hugging Face folder of
 * the same model has. Throws EngineError `unsupported_model` for an architecture without a family.
 */
export function configOfGguf(
  file: GgufFile,
  factors: RopeFactors,
): { config: Json; generationConfig: Json } {
  const fields = new MetadataFields(file)
  const architecture = ARCHITECTURES[fields.architecture]
  if (!architecture)
    throw new EngineError(
      'unsupported_model',
      `${basename(file.path)}: architecture ${fields.architecture} is not supported in GGUF files; supported are ${Object.keys(ARCHITECTURES).join(', ')}`,
    )
  const experts = fields.integer('expert_count', 0, 0)
  if (experts > 0)
    throw new EngineError(
      'unsupported_model',
      `${basename(file.path)}: ${fields.architecture}.expert_count ${experts}: mixtures of experts are not supported in GGUF files`,
    )
  const config = {
    architectures: [architecture.name],
    model_type: architecture.modelType,
    ...shapeOf(fields),
    ...ropeOf(fields, factors),
    ...tensorFacts(file),
    ...tokenIds(fields),
    ...architecture.config?.(fields),
  }
  return { config, generationConfig: endTokens(fields) }
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
    hidden_act: 'silu',
    ...fields.optional('rms_norm_eps', 'attention.layer_norm_rms_epsilon'),
    ...fields.optional('layer_norm_eps', 'attention.layer_norm_epsilon'),
  }
}

function ropeOf(fields: MetadataFields, factors: RopeFactors): Json {
  const kind = fields.text('rope.scaling.type', 'none')
  const scaling = {
    rope_type: kind,
    ...fields.optional('factor', 'rope.scaling.factor'),
    ...fields.optional('original_max_position_embeddings', 'rope.scaling.original_context_length'),
  }
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
    rope_scaling: factors.long ? divided : kind === 'none' ? null : scaling,
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
    attention_bias: byName.has('blk.0.attn_q.bias'),
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

/** The metadata of the file's architecture, and of its tokenizer. */
class MetadataFields {
  readonly architecture: string
  readonly #fields: Fields

  constructor(file: GgufFile) {
    this.#fields = metadataOf(file)
    this.architecture = this.#fields.word('general.architecture')
  }

  /** Columns of a head. */
  get headDim(): number {
    const heads = this.integer('attention.head_count', 1)
    const fallback = Math.max(2, Math.floor(this.integer('embedding_length', 1) / heads))
    return this.integer('attention.key_length', 2, fallback)
  }

  has(name: string): boolean {
    return this.#fields.has(this.#key(name))
  }

  integer(name: string, min: number, fallback?: number): number {
    return this.#fields.integer(this.#key(name), { min, fallback })
  }

  number(name: string, fallback?: number): number {
    return this.#fields.number(this.#key(name), fallback)
  }

  text(name: string, fallback: string): string {
    return this.#fields.text(this.#key(name), fallback)
  }

  /** `{ [to]: value }`, or nothing where the file does not say. */
  optional(to: string, name: string): Json {
    return this.has(name) ? { [to]: this.number(name) } : {}
  }

  /** `{ [name]: id }`, or nothing where the tokenizer has no such token. */
  token(name: string): Readonly<Record<string, number>> {
    const [id] = this.#fields.ids(`tokenizer.ggml.${name}`)
    return id === undefined ? {} : { [name]: id }
  }

  #key(name: string): string {
    return `${this.architecture}.${name}`
  }
}
