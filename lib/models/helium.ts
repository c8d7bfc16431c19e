import type { ModelFamily } from './family.js'
import { recordLlama } from './llama.js'

/** A Llama whose rotary pairs are neighbours. */
export const helium: ModelFamily = {
  title: 'Helium',
  architectures: ['HeliumForCausalLM'],
  defaults: { rms_norm_eps: 1e-8, rope_theta: 1e5, head_dim: 128, num_key_value_heads: 20 },
  record: (g, c) =>
    recordLlama(g, c, {
      attention: (d) => ({ rope: d.rope({ interleaved: true }), outBias: false }),
    }),
}
