/**
 * The checkpoint's names of a GGUF file's tensors, as the model families declare them.
 * `blk.N.attn_q.weight` is made of a place in the layer and the ending; the ending stays.
 */
type Names = Readonly<Record<string, string>>

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

const PRE_NORM: Names = {
  ...ATTENTION,
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
}

/** Gemma 2 and 3, OLMo 2: norms behind attention and feed-forward layer too, or only there. */
const POST_NORM: Names = {
  ...PRE_NORM,
  post_attention_norm: 'post_attention_layernorm',
  ffn_norm: 'pre_feedforward_layernorm',
  post_ffw_norm: 'post_feedforward_layernorm',
}

/** A layer's names by the file's architecture; the others are called as Llama's. */
const LAYERS: Readonly<Record<string, Names>> = {
  gemma2: POST_NORM,
  gemma3: POST_NORM,
  olmo2: POST_NORM,
  phi3: { ...PRE_NORM, ffn_up: 'mlp.gate_up_proj' },
}

/** Tensors that a model's config stands for: rotary frequencies. */
const OF_THE_CONFIG = /^(blk\.\d+\.)?rope_(freqs|factors_long|factors_short)\.weight$/

/** The name in a checkpoint; the file's own where there is none, null for what is no parameter. */
export function checkpointName(architecture: string, name: string): string | null {
  if (OF_THE_CONFIG.test(name)) return null
  const [, layer, place = name, ending = ''] =
    /^(?:blk\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(name) ?? []
  const names = layer === undefined ? MODEL : (LAYERS[architecture] ?? PRE_NORM)
  if (!Object.hasOwn(names, place)) return name
  const prefix = layer === undefined ? '' : `model.layers.${layer}.`
  return `${prefix}${names[place]}.${ending}`
}

/**
 * Architectures whose files have the rows of q and k in pairs: what Hugging Face keeps in rows i and
 * i + headDim / 2 of a head stands in rows 2i and 2i + 1.
 */
const PAIRED_ROWS: ReadonlySet<string> = new Set(['llama', 'arcee', 'smollm3'])

/** The tensor's heads whose rows are in pairs; 0 where they are in a checkpoint's order. */
export function pairedHeads(
  architecture: string,
  name: string,
  heads: { readonly query: number; readonly keyValue: number },
): number {
  const place = PAIRED_ROWS.has(architecture) ? /\.attn_([qk])\.(weight|bias)$/.exec(name)?.[1] : ''
  return place === 'q' ? heads.query : place === 'k' ? heads.keyValue : 0
}
