import type { ModelFamily } from './family.js'
import { recordLlama } from './llama.js'

/** A Llama whose queries grow with their position beyond the length that it was trained at first. */
export const ministral3: ModelFamily = {
  title: 'Ministral 3',
  architectures: ['Ministral3ForCausalLM'],
  names: { attention_bias: null, mlp_bias: null },
  defaults: { head_dim: 128, rms_norm_eps: 1e-5, num_key_value_heads: 8 },
  record: (g, c) => {
    const { rope } = c
    const beta = rope.kind === 'yarn' ? rope.queryBeta : undefined
    const growth = rope.kind === 'yarn' && beta ? { beta, span: rope.originalLength } : undefined
    recordLlama(g, c, { attention: () => ({ growth }) })
  },
}
