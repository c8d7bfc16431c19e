import { basename } from 'node:path'
import { EngineError } from '../errors.js'
import type { GgufFile } from './gguf.js'
import { MetadataFields, type Json } from './gguf-fields.js'
import {
  DEEPSEEK,
  GPT_OSS,
  GRANITE_MOE,
  MIXTRAL,
  PHI3,
  POST_ATTENTION,
  POST_NORM,
  QWEN_MOE,
  BLOOM,
  BLOOM_PLACES,
  EXAONE,
  FALCON_40B,
  GLM4,
  GPT2,
  GPT2_PLACES,
  HUNYUAN,
  MPT,
  MPT_PLACES,
  NEOX,
  NEOX_PLACES,
  PHI2,
  PHI2_PLACES,
  STABLELM,
  STARCODER2,
  type Names,
  type Places,
} from './gguf-names.js'

/** What a GGUF architecture is in a Hugging Face folder. */
export interface Architecture {
  readonly name: string
  readonly modelType: string
  /** Where its tensors lie, and a layer's. Default: those of a Llama. */
  readonly places?: Places
  readonly layers?: Names
  /**
   * The rows of q and k stand in pairs: what Hugging Face keeps in rows i and i + headDim / 2 of a head
   * stands in rows 2i and 2i + 1.
   */
  readonly paired?: boolean
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

/** Families call the experts' number otherwise. */
const experts = (fields: MetadataFields): Json => {
  const count = fields.integer('expert_count', 1)
  return {
    ...{ num_experts: count, num_local_experts: count, n_routed_experts: count },
    num_experts_per_tok: fields.integer('expert_used_count', 1),
    ...fields.optional('moe_intermediate_size', 'expert_feed_forward_length'),
    ...fields.optional('shared_expert_intermediate_size', 'expert_shared_feed_forward_length'),
  }
}

/** Stacks of one projection each stand for one expert's tensors (gguf-names.ts). */
const separate = { separate_experts: true }

const granite = (fields: MetadataFields): Json => ({
  ...fields.optional('embedding_multiplier', 'embedding_scale'),
  ...fields.optional('residual_multiplier', 'residual_scale'),
  ...fields.optional('attention_multiplier', 'attention.scale'),
  ...fields.optional('logits_scaling', 'logit_scale'),
})

const cohere = (fields: MetadataFields): Json => ({
  ...fields.optional('logit_scale', 'logit_scale'),
  use_qk_norm: fields.hasTensor('blk.0.attn_q_norm.weight'),
})

/** One norm for attention and feed-forward layer, or one for each. */
const falcon = (fields: MetadataFields, norms: number): Json => {
  const heads = fields.integer('attention.head_count', 1)
  const kvHeads = fields.integer('attention.head_count_kv', 1, heads)
  return {
    new_decoder_architecture: norms === 2 || kvHeads > 1,
    ...{ num_kv_heads: kvHeads, num_ln_in_parallel_attn: norms, multi_query: kvHeads === 1 },
  }
}

const gptOss = (fields: MetadataFields): Json => ({
  ...{ ...experts(fields), ...window(fields), ...separate },
  ...{ attention_bias: true },
  ...fields.optional('intermediate_size', 'expert_feed_forward_length'),
  ...withScaling(fields, { truncate: false }),
})

function deepseek(fields: MetadataFields): Json {
  const turned = fields.integer('rope.dimension_count', 2)
  const length = (name: string) =>
    fields.integer(`attention.${name}_mla`, 1, fields.integer(`attention.${name}`, 1))
  const stretch = 10 * fields.number('rope.scaling.yarn_log_multiplier', 0)
  const groups = fields.integer('expert_count', 1) === DEEPSEEK_V3_EXPERTS ? [8, 4] : [1, 1]
  return {
    ...experts(fields),
    num_key_value_heads: fields.integer('attention.head_count', 1),
    partial_rotary_factor: 1,
    ...fields.optional('q_lora_rank', 'attention.q_lora_rank'),
    kv_lora_rank: fields.integer('attention.kv_lora_rank', 1),
    ...{ qk_rope_head_dim: turned, qk_nope_head_dim: length('key_length') - turned },
    ...{ v_head_dim: length('value_length'), split_kv_b: fields.has('attention.key_length_mla') },
    n_shared_experts: fields.integer('expert_shared_count', 0, 0),
    first_k_dense_replace: fields.integer('leading_dense_block_count', 0, 0),
    routed_scaling_factor: fields.number('expert_weights_scale', 1),
    norm_topk_prob: fields.flag('expert_weights_norm', false),
    n_group: fields.integer('expert_group_count', 1, groups[0]),
    topk_group: fields.integer('expert_group_used_count', 1, groups[1]),
    ...withScaling(fields, stretch ? { mscale: stretch, mscale_all_dim: stretch } : {}),
  }
}

/** Files of DeepSeek V3 from before groups were written: 8 of 32 experts, 4 of them chosen. */
const DEEPSEEK_V3_EXPERTS = 256

/** The scaling of rotary embeddings that the metadata tell, with further fields. */
function withScaling(fields: MetadataFields, more: Json): Json {
  const scaling = ropeScaling(fields)
  return { rope_scaling: scaling && { ...scaling, ...more } }
}

export function ropeScaling(fields: MetadataFields): Json | null {
  const kind = fields.text('rope.scaling.type', 'none')
  if (kind === 'none') return null
  return {
    rope_type: kind,
    ...fields.optional('factor', 'rope.scaling.factor'),
    ...fields.optional('original_max_position_embeddings', 'rope.scaling.original_context_length'),
  }
}

const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  llama: { name: 'LlamaForCausalLM', modelType: 'llama', paired: true },
  qwen2: { name: 'Qwen2ForCausalLM', modelType: 'qwen2' },
  qwen3: { name: 'Qwen3ForCausalLM', modelType: 'qwen3' },
  gemma: { name: 'GemmaForCausalLM', modelType: 'gemma', config: () => gemma },
  gemma2: {
    ...{ name: 'Gemma2ForCausalLM', modelType: 'gemma2', layers: POST_NORM },
    config: (fields) => ({
      ...gemma,
      ...window(fields),
      ...queryScale(fields, 46),
      attn_logit_softcapping: fields.number('attn_logit_softcapping'),
      final_logit_softcapping: fields.number('final_logit_softcapping'),
    }),
  },
  gemma3: {
    ...{ name: 'Gemma3ForCausalLM', modelType: 'gemma3_text', layers: POST_NORM },
    config: (fields) => ({
      ...gemma,
      ...window(fields),
      ...queryScale(fields, 62),
      rope_local_base_freq: fields.number('rope.freq_base_swa', 10000),
      ...fields.optional('final_logit_softcapping', 'final_logit_softcapping'),
    }),
  },
  phi3: { name: 'Phi3ForCausalLM', modelType: 'phi3', layers: PHI3, config: window },
  olmo2: { name: 'Olmo2ForCausalLM', modelType: 'olmo2', layers: POST_NORM },
  smollm3: { name: 'SmolLM3ForCausalLM', modelType: 'smollm3', paired: true },
  arcee: {
    ...{ name: 'ArceeForCausalLM', modelType: 'arcee', paired: true },
    config: () => ({ hidden_act: 'relu2' }),
  },
  granite: { name: 'GraniteForCausalLM', modelType: 'granite', paired: true, config: granite },
  gpt2: {
    ...{ name: 'GPT2LMHeadModel', modelType: 'gpt2', places: GPT2_PLACES, layers: GPT2 },
    config: () => ({ stored_by_rows: true }),
  },
  gptneox: {
    ...{ name: 'GPTNeoXForCausalLM', modelType: 'gpt_neox', places: NEOX_PLACES, layers: NEOX },
    config: (fields) => ({
      use_parallel_residual: fields.flag('use_parallel_residual', true),
    }),
  },
  bloom: { name: 'BloomForCausalLM', modelType: 'bloom', places: BLOOM_PLACES, layers: BLOOM },
  falcon: {
    ...{ name: 'FalconForCausalLM', modelType: 'falcon', places: BLOOM_PLACES, layers: BLOOM },
    config: (fields) => falcon(fields, 1),
  },
  'falcon of 40B': {
    ...{ name: 'FalconForCausalLM', modelType: 'falcon', places: BLOOM_PLACES },
    ...{ layers: FALCON_40B, config: (fields: MetadataFields) => falcon(fields, 2) },
  },
  mpt: {
    ...{ name: 'MptForCausalLM', modelType: 'mpt', places: MPT_PLACES, layers: MPT },
    config: (fields) => ({
      attn_config: {
        ...fields.optional('clip_qkv', 'attention.clamp_kqv'),
        ...fields.optional('alibi_bias_max', 'attention.max_alibi_bias'),
        qk_ln: fields.hasTensor('blk.0.attn_q_norm.weight'),
        alibi: !fields.hasTensor('position_embd.weight'),
      },
    }),
  },
  phi2: { name: 'PhiForCausalLM', modelType: 'phi', places: PHI2_PLACES, layers: PHI2 },
  starcoder2: {
    ...{ name: 'Starcoder2ForCausalLM', modelType: 'starcoder2', layers: STARCODER2 },
    config: window,
  },
  'command-r': { name: 'CohereForCausalLM', modelType: 'cohere', config: cohere },
  cohere2: {
    ...{ name: 'Cohere2ForCausalLM', modelType: 'cohere2' },
    config: (fields) => ({ ...cohere(fields), ...window(fields) }),
  },
  olmo: {
    ...{ name: 'OlmoForCausalLM', modelType: 'olmo', paired: true },
    config: (fields) => fields.optional('clip_qkv', 'attention.clamp_kqv'),
  },
  stablelm: {
    ...{ name: 'StableLmForCausalLM', modelType: 'stablelm', layers: STABLELM },
    config: (fields) => ({
      use_parallel_residual: !fields.hasTensor('blk.0.ffn_norm.weight'),
      qk_layernorm: fields.hasTensor('blk.0.attn_q_norm.weight'),
    }),
  },
  glm4: { name: 'Glm4ForCausalLM', modelType: 'glm4', layers: GLM4 },
  exaone: {
    ...{ name: 'ExaoneForCausalLM', modelType: 'exaone', places: GPT2_PLACES, layers: EXAONE },
  },
  exaone4: {
    ...{ name: 'Exaone4ForCausalLM', modelType: 'exaone4', layers: POST_NORM },
    config: (fields) => ({ sliding_window: null, ...window(fields) }),
  },
  nemotron: { name: 'NemotronForCausalLM', modelType: 'nemotron' },
  ernie4_5: { name: 'Ernie4_5ForCausalLM', modelType: 'ernie4_5' },
  'hunyuan-dense': {
    ...{ name: 'HunYuanDenseV1ForCausalLM', modelType: 'hunyuan_v1_dense', layers: HUNYUAN },
  },
  seed_oss: { name: 'SeedOssForCausalLM', modelType: 'seed_oss', layers: POST_ATTENTION },
}

/** Those whose metadata count experts. */
const MIXTURES: Readonly<Record<string, Architecture>> = {
  llama: {
    ...{ name: 'MixtralForCausalLM', modelType: 'mixtral', paired: true, layers: MIXTRAL },
    config: experts,
  },
  qwen2moe: {
    ...{ name: 'Qwen2MoeForCausalLM', modelType: 'qwen2_moe', layers: QWEN_MOE },
    config: (fields) => ({ ...experts(fields), norm_topk_prob: false }),
  },
  qwen3moe: {
    ...{ name: 'Qwen3MoeForCausalLM', modelType: 'qwen3_moe', layers: QWEN_MOE },
    config: (fields) => ({ ...experts(fields), norm_topk_prob: true }),
  },
  olmoe: {
    ...{ name: 'OlmoeForCausalLM', modelType: 'olmoe', layers: QWEN_MOE },
    config: (fields) => ({
      ...{ ...experts(fields), norm_topk_prob: false },
      ...fields.optional('intermediate_size', 'expert_feed_forward_length'),
    }),
  },
  granitemoe: {
    ...{ name: 'GraniteMoeForCausalLM', modelType: 'granitemoe', paired: true },
    ...{ layers: GRANITE_MOE },
    config: (fields) => ({ ...experts(fields), ...granite(fields), ...separate }),
  },
  'gpt-oss': {
    ...{ name: 'GptOssForCausalLM', modelType: 'gpt_oss', layers: GPT_OSS, config: gptOss },
  },
  deepseek2: {
    ...{ name: 'DeepseekV2ForCausalLM', modelType: 'deepseek_v2', layers: DEEPSEEK },
    config: deepseek,
  },
  'deepseek2 of V3': {
    ...{ name: 'DeepseekV3ForCausalLM', modelType: 'deepseek_v3', layers: DEEPSEEK },
    config: deepseek,
  },
}

const SIGMOID = 2

/** The names that `general.architecture` may have. */
export const ggufArchitectures: readonly string[] = [
  ...new Set([...Object.keys(ARCHITECTURES), ...Object.keys(MIXTURES)]),
].filter((name) => !name.includes(' '))

/** Which of the families that a file calls alike it is. */
function variantOf(fields: MetadataFields): string {
  const { architecture } = fields
  if (architecture === 'deepseek2' && fields.integer('expert_gating_func', 0, 0) === SIGMOID)
    return ' of V3'
  const hasTwoNorms = fields.hasTensor('blk.0.attn_norm_2.weight')
  return architecture === 'falcon' && hasTwoNorms ? ' of 40B' : ''
}

/** The file's architecture. Throws EngineError `unsupported_model` for one without a family. */
export function architectureOf(file: GgufFile): Architecture & { readonly fields: MetadataFields } {
  const fields = new MetadataFields(file)
  const { architecture } = fields
  const mixed = fields.integer('expert_count', 0, 0) > 0
  const known = mixed ? MIXTURES : ARCHITECTURES
  const name = `${architecture}${variantOf(fields)}`
  if (Object.hasOwn(known, name)) return { ...known[name]!, fields }
  const what = mixed
    ? `a mixture of experts of architecture ${architecture}`
    : `architecture ${architecture}`
  throw new EngineError(
    'unsupported_model',
    `${basename(file.path)}: ${what} is not supported in GGUF files; supported are ${ggufArchitectures.join(', ')}`,
  )
}
