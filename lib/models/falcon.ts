import { alibiSlopes } from './alibi.js'
import { attention, groupedQkv, plainMlp } from './blocks.js'
import type { ModelConfig } from './config.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'

/** Attention and feed-forward layer mostly side by side, of one norm or of two; rotation or ALiBi. */
export const falcon: ModelFamily = {
  title: 'Falcon',
  architectures: ['FalconForCausalLM', 'RWForCausalLM'],
  names: {
    ...{
      hidden_size: ['n_embed', 'hidden_size'],
      num_hidden_layers: ['n_layer', 'num_hidden_layers'],
    },
    ...{ num_attention_heads: ['n_head', 'num_attention_heads'], num_key_value_heads: null },
    ...{ intermediate_size: 'ffn_hidden_size', hidden_act: 'activation', head_dim: null },
    ...{ rms_norm_eps: 'layer_norm_epsilon', attention_bias: 'bias', mlp_bias: 'bias' },
  },
  defaults: {
    ...{ hidden_act: 'gelu', rms_norm_eps: 1e-5, tie_word_embeddings: true },
    max_position_embeddings: 2048,
  },
  record: (g, c) => {
    const d = new Decoder(g, { ...c, kvHeads: keyHeads(c) }, { norm: 'layer', bias: true })
    const modules = { name: 'self_attention', out: 'dense', qkv: groupedQkv(d, 'query_key_value') }
    const mlp = { up: { dense_h_to_4h: c.intermediateSize }, down: 'dense_4h_to_h' }
    const scale = c.headDim ** -0.5
    const slopes = alibiSlopes(c.heads).map((slope) => slope * scale)
    const places = c.options.flag('alibi', false) ? { rope: null, slopes } : {}
    d.embed('transformer.word_embeddings')
    const [first, second] = normsOf(c)
    const beside = second === 'ln_mlp'
    for (const layer of d.layers('transformer.h')) {
      const x = d.norm(`${layer.path}.${first}`)
      const attended = attention(d, layer, x, { ...modules, ...places, scale })
      if (!beside) d.add(attended)
      const y = second ? d.norm(`${layer.path}.${second}`) : x
      if (beside) d.add(attended)
      d.add(plainMlp(d, layer, y, mlp))
    }
    d.finish(d.norm('transformer.ln_f'))
  },
}

function keyHeads({ options, heads }: ModelConfig): number {
  if (options.flag('new_decoder_architecture', false))
    return options.integer('num_kv_heads', { min: 1, max: heads, fallback: heads })
  return options.flag('multi_query', true) ? 1 : heads
}

/** The norms of a layer: one for both, one for each beside the other, or one before each in turn. */
function normsOf({ options }: ModelConfig): readonly [string, string?] {
  const grouped = options.flag('new_decoder_architecture', false)
  const count = options.integer('num_ln_in_parallel_attn', { min: 1, max: 2, fallback: 2 })
  if (grouped && count === 2) return ['ln_attn', 'ln_mlp']
  const parallel = grouped || options.flag('parallel_attn', true)
  return parallel ? ['input_layernorm'] : ['input_layernorm', 'post_attention_layernorm']
}
