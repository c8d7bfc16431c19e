import { alibiSlopes } from './alibi.js'
import { attention, groupedQkv, plainMlp } from './blocks.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'

/** ALiBi, layer norms also of the embeddings, q, k and v of each head together. */
export const bloom: ModelFamily = {
  title: 'BLOOM',
  architectures: ['BloomForCausalLM'],
  names: {
    ...{
      hidden_size: ['n_embed', 'hidden_size'],
      num_hidden_layers: ['n_layer', 'num_hidden_layers'],
    },
    ...{ num_attention_heads: ['n_head', 'num_attention_heads'], intermediate_size: null },
    ...{
      rms_norm_eps: 'layer_norm_epsilon',
      max_position_embeddings: ['seq_length', 'max_position_embeddings'],
    },
    ...{ num_key_value_heads: null, head_dim: null, hidden_act: null },
    ...{ attention_bias: null, mlp_bias: null },
  },
  defaults: {
    ...{ hidden_act: 'gelu_pytorch_tanh', rms_norm_eps: 1e-5, tie_word_embeddings: true },
    ...{ max_position_embeddings: 2048, attention_bias: true, mlp_bias: true },
  },
  record: (g, c) => {
    const d = new Decoder(g, c, { norm: 'layer', bias: true })
    const normed = c.options.flag('apply_residual_connection_post_layernorm', false)
    const qkv = groupedQkv(d, 'query_key_value')
    const slopes = alibiSlopes(c.heads)
    const modules = { name: 'self_attention', out: 'dense', rope: null, qkv, slopes }
    const mlp = { up: { dense_h_to_4h: c.intermediateSize }, down: 'dense_4h_to_h' }
    d.embed('transformer.word_embeddings')
    d.replace(d.norm('transformer.word_embeddings_layernorm'))
    for (const layer of d.layers('transformer.h')) {
      const x = d.norm(`${layer.path}.input_layernorm`)
      if (normed) d.replace(x)
      d.add(attention(d, layer, x, modules))
      const y = d.norm(`${layer.path}.post_attention_layernorm`)
      if (normed) d.replace(y)
      d.add(plainMlp(d, layer, y, mlp))
    }
    d.finish(d.norm('transformer.ln_f'))
  },
}
