import type { ModelFamily } from './family.js'
import { recordLlama } from './llama.js'

/** A Llama that turns neighbouring columns of half a head, with biases of q, k and v. */
export const glm: ModelFamily = {
  title: 'GLM-4 (9B, 2024)',
  architectures: ['GlmForCausalLM'],
  names: { mlp_bias: null },
  defaults: {
    ...{ attention_bias: true, partial_rotary_factor: 0.5, head_dim: 128 },
    rms_norm_eps: 1.5625e-7,
  },
  record: (g, c) =>
    recordLlama(g, c, {
      attention: (d) => ({ rope: d.rope({ interleaved: true }), outBias: false }),
      mlp: { up: { gate_up_proj: 2 * c.intermediateSize } },
    }),
}
