import type { ModelFamily } from './family.js'
import { recordLlama } from './llama.js'

/** A Llama whose rotary pairs are neighbours, with one flag for all biases. */
export const ernie45: ModelFamily = {
  title: 'ERNIE 4.5',
  architectures: ['Ernie4_5ForCausalLM', 'Ernie4_5_ForCausalLM'],
  names: { attention_bias: 'use_bias', mlp_bias: 'use_bias' },
  defaults: {
    ...{ rope_theta: 5e5, head_dim: 128, num_key_value_heads: 2 },
    ...{ rms_norm_eps: 1e-5, tie_word_embeddings: true },
  },
  record: (g, c) =>
    recordLlama(g, c, { attention: (d) => ({ rope: d.rope({ interleaved: true }) }) }),
}
