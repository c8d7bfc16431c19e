import type { ModelFamily } from './family.js'
import { recordLlama } from './llama.js'

/** A Llama with biases of q, k and v. */
export const seedOss: ModelFamily = {
  title: 'Seed-OSS',
  architectures: ['SeedOssForCausalLM'],
  defaults: { attention_bias: true, head_dim: 128, num_key_value_heads: 8 },
  record: (g, c) => {
    const outBias = c.options.flag('attention_out_bias', false)
    recordLlama(g, c, { attention: () => ({ outBias }) })
  },
}
