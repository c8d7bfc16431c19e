/**
 * The checkpoint's names of a GGUF file's tensors, as the model families declare them.
 * `blk.N.attn_q.weight` is made of a place in the layer and the ending; the ending stays, but where a
 * name ends in `=`. A name with `*` is that of each matrix, or vector, of a stack.
 */
export type Names = Readonly<Record<string, string>>

/** Where a family's tensors lie: its layers, and what is outside of them. */
export interface Places {
  readonly layers: string
  readonly names: Names
}

export const LLAMA_PLACES: Places = {
  layers: 'model.layers',
  names: { token_embd: 'model.embed_tokens', output_norm: 'model.norm', output: 'lm_head' },
}

export const PHI2_PLACES: Places = {
  ...LLAMA_PLACES,
  names: { ...LLAMA_PLACES.names, output_norm: 'model.final_layernorm' },
}

export const GPT2_PLACES: Places = {
  layers: 'transformer.h',
  names: {
    ...{ token_embd: 'transformer.wte', position_embd: 'transformer.wpe' },
    ...{ output_norm: 'transformer.ln_f', output: 'lm_head' },
  },
}

export const BLOOM_PLACES: Places = {
  ...GPT2_PLACES,
  names: {
    ...GPT2_PLACES.names,
    token_embd: 'transformer.word_embeddings',
    token_embd_norm: 'transformer.word_embeddings_layernorm',
  },
}

export const NEOX_PLACES: Places = {
  layers: 'gpt_neox.layers',
  names: {
    ...{ token_embd: 'gpt_neox.embed_in', output_norm: 'gpt_neox.final_layer_norm' },
    output: 'embed_out',
  },
}

export const MPT_PLACES: Places = {
  layers: 'transformer.blocks',
  names: { ...GPT2_PLACES.names, output_norm: 'transformer.norm_f' },
}

const ATTENTION: Names = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_qkv: 'self_attn.qkv_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
}

export const PRE_NORM: Names = {
  ...ATTENTION,
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
}

/** The norm before the feed-forward layer is called by what it follows. */
export const POST_ATTENTION: Names = {
  ...PRE_NORM,
  post_attention_norm: 'post_attention_layernorm',
}

/** Gemma 2 and 3, OLMo 2: norms behind attention and feed-forward layer too, or only there. */
export const POST_NORM: Names = {
  ...POST_ATTENTION,
  ffn_norm: 'pre_feedforward_layernorm',
  post_ffw_norm: 'post_feedforward_layernorm',
}

export const GPT2: Names = {
  ...{ attn_norm: 'ln_1', attn_qkv: 'attn.qkv_proj', attn_output: 'attn.c_proj' },
  ...{ ffn_norm: 'ln_2', ffn_up: 'mlp.c_fc', ffn_down: 'mlp.c_proj' },
}

export const STARCODER2: Names = { ...PRE_NORM, ffn_up: 'mlp.c_fc', ffn_down: 'mlp.c_proj' }

export const PHI2: Names = {
  ...{ ...ATTENTION, attn_output: 'self_attn.dense' },
  ...{ ffn_up: 'mlp.fc1', ffn_down: 'mlp.fc2' },
}

/** BLOOM, GPT-NeoX and Falcon call their modules alike, but for that of attention. */
const dense = (attention: string): Names => ({
  attn_norm: 'input_layernorm',
  attn_qkv: `${attention}.qkv_proj`,
  attn_output: `${attention}.dense`,
  ffn_norm: 'post_attention_layernorm',
  ffn_up: 'mlp.dense_h_to_4h',
  ffn_down: 'mlp.dense_4h_to_h',
})

export const BLOOM = dense('self_attention')
export const NEOX = dense('attention')
export const FALCON_40B: Names = { ...BLOOM, attn_norm: 'ln_mlp', attn_norm_2: 'ln_attn' }

export const MPT: Names = {
  ...{ attn_norm: 'norm_1', attn_qkv: 'attn.qkv_proj', attn_output: 'attn.out_proj' },
  ...{ attn_q_norm: 'attn.q_ln', attn_k_norm: 'attn.k_ln' },
  ...{ ffn_norm: 'norm_2', ffn_up: 'ffn.up_proj', ffn_down: 'ffn.down_proj' },
}

/** Each head's norm of q and k is a module. */
export const STABLELM: Names = {
  ...PRE_NORM,
  attn_q_norm: 'self_attn.q_layernorm.norms.*',
  attn_k_norm: 'self_attn.k_layernorm.norms.*',
}

export const GLM4: Names = {
  ...{ ...PRE_NORM, ffn_up: 'mlp.gate_up_proj' },
  ...{ post_attention_norm: 'post_self_attn_layernorm', post_ffw_norm: 'post_mlp_layernorm' },
}

export const EXAONE: Names = {
  ...{ attn_norm: 'ln_1', attn_q: 'attn.attention.q_proj', attn_k: 'attn.attention.k_proj' },
  ...{ attn_v: 'attn.attention.v_proj', attn_output: 'attn.attention.out_proj' },
  ...{ ffn_norm: 'ln_2', ffn_gate: 'mlp.c_fc_0', ffn_up: 'mlp.c_fc_1', ffn_down: 'mlp.c_proj' },
}

export const HUNYUAN: Names = {
  ...PRE_NORM,
  attn_q_norm: 'self_attn.query_layernorm',
  attn_k_norm: 'self_attn.key_layernorm',
}

export const PHI3: Names = { ...PRE_NORM, ffn_up: 'mlp.gate_up_proj' }

/** Experts with modules of their own. */
function stacks(module: string, [gate, up, down] = ['gate_proj', 'up_proj', 'down_proj']): Names {
  return {
    ffn_gate_exps: `${module}.experts.*.${gate}`,
    ffn_up_exps: `${module}.experts.*.${up}`,
    ffn_down_exps: `${module}.experts.*.${down}`,
  }
}

function shared(module: string): Names {
  return {
    ffn_gate_shexp: `${module}.gate_proj`,
    ffn_up_shexp: `${module}.up_proj`,
    ffn_down_shexp: `${module}.down_proj`,
  }
}

export const MIXTRAL: Names = {
  ...PRE_NORM,
  ffn_gate_inp: 'block_sparse_moe.gate',
  ...stacks('block_sparse_moe', ['w1', 'w3', 'w2']),
}

export const QWEN_MOE: Names = {
  ...PRE_NORM,
  ffn_gate_inp: 'mlp.gate',
  ffn_gate_inp_shexp: 'mlp.shared_expert_gate',
  ...stacks('mlp'),
  ...shared('mlp.shared_expert'),
}

export const GRANITE_MOE: Names = {
  ...PRE_NORM,
  ffn_gate_inp: 'block_sparse_moe.router.layer',
  ...stacks('block_sparse_moe'),
}

export const GPT_OSS: Names = {
  ...POST_ATTENTION,
  attn_sinks: 'self_attn.sinks=',
  ffn_gate_inp: 'mlp.router',
  ...stacks('mlp'),
}

export const DEEPSEEK: Names = {
  ...PRE_NORM,
  attn_q_a: 'self_attn.q_a_proj',
  attn_q_a_norm: 'self_attn.q_a_layernorm',
  attn_q_b: 'self_attn.q_b_proj',
  attn_kv_a_mqa: 'self_attn.kv_a_proj_with_mqa',
  attn_kv_a_norm: 'self_attn.kv_a_layernorm',
  attn_kv_b: 'self_attn.kv_b_proj',
  attn_k_b: 'self_attn.k_b_proj',
  attn_v_b: 'self_attn.v_b_proj',
  ffn_gate_inp: 'mlp.gate',
  exp_probs_b: 'mlp.gate.e_score_correction_bias=',
  ...stacks('mlp'),
  ...shared('mlp.shared_experts'),
}

/** Tensors that a model's config stands for: rotary frequencies. */
const OF_THE_CONFIG = /^(blk\.\d+\.)?rope_(freqs|factors_long|factors_short)\.weight$/

/** Older files of Mixtral have a tensor for each expert. */
const ONE_EXPERT = /^(ffn_(?:gate|up|down))\.(\d+)$/

/** The name in a checkpoint; the file's own where there is none, null for what is no parameter. */
export function checkpointName(places: Places, layers: Names, name: string): string | null {
  if (OF_THE_CONFIG.test(name)) return null
  const [, layer, place = name, ending = ''] =
    /^(?:blk\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(name) ?? []
  const names = layer === undefined ? places.names : layers
  const [, stack, expert = ''] = ONE_EXPERT.exec(place) ?? []
  const key = stack === undefined ? place : `${stack}_exps`
  const found = Object.hasOwn(names, key) ? names[key] : undefined
  if (found === undefined) return name
  const prefix = layer === undefined ? '' : `${places.layers}.${layer}.`
  const module = stack === undefined ? found : found.replace('*', expert)
  return prefix + (module.endsWith('=') ? module.slice(0, -1) : `${module}.${ending}`)
}
