/**
 * The checkpoint's names of a GGUF file's tensors, as the model families declare them.
 * `blk.N.attn_q.weight` is made of a place in the layer and the ending; the ending stays, but where a
 * name ends in `=`. A name with `*` is that of each matrix, or vector, of a stack.
 */
export type Names = Readonly<Record<string, string>>

const MODEL: Names = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
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

/** The name in a checkpoint; the file's own where there is none, null for what is no parameter. */
export function checkpointName(layers: Names, name: string): string | null {
  if (OF_THE_CONFIG.test(name)) return null
  const [, layer, place = name, ending = ''] =
    /^(?:blk\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(name) ?? []
  const names = layer === undefined ? MODEL : layers
  const found = Object.hasOwn(names, place) ? names[place] : undefined
  if (found === undefined) return name
  const prefix = layer === undefined ? '' : `model.layers.${layer}.`
  return prefix + (found.endsWith('=') ? found.slice(0, -1) : `${found}.${ending}`)
}
