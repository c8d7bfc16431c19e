import { headNorms } from './blocks.js'
import type { ModelFamily } from './family.js'
import { recordGemma } from './gemma2.js'

/** Gemma 2 with norms of q and k, and a rope of their own for the layers with a window. */
export const gemma3: ModelFamily = {
  title: 'Gemma 3 (text)',
  architectures: ['Gemma3ForCausalLM'],
  names: { hidden_act: 'hidden_activation', attn_logit_softcapping: null },
  defaults: {
    ...{ hidden_act: 'gelu_pytorch_tanh', tie_word_embeddings: true, head_dim: 256 },
    ...{ sliding_window: 4096, query_pre_attn_scalar: 256, num_key_value_heads: 4 },
    ...{ num_attention_heads: 8, vocab_size: 262_208, max_position_embeddings: 131_072 },
    ...{ rope_theta: 1e6, rope_local_base_freq: 1e4 },
  },
  record: (g, c) => {
    const names = ['_sliding_window_pattern', 'sliding_window_pattern']
    const name = names.find((name) => c.options.has(name))
    const pattern = name ? c.options.integer(name, { min: 1 }) : 6
    recordGemma(g, c, {
      isWindowed: (layer) => (layer + 1) % pattern !== 0,
      attention: (d, layer) => ({
        qkNorm: headNorms(d, layer, { offset: 1 }),
        rope: d.rope({ local: layer.type === 'window' }),
      }),
    })
  },
}
