import type { ModelFamily } from './family.js'
import { recordLlama } from './llama.js'

/** A Llama with q, k and v in one tensor, gate and up projection in another, and no biases. */
export const phi3: ModelFamily = {
  title: 'Phi 3 and 4',
  architectures: ['Phi3ForCausalLM'],
  names: { attention_bias: null, mlp_bias: null },
  defaults: { rms_norm_eps: 1e-5 },
  record: (g, c) => {
    const rows = (c.heads + 2 * c.kvHeads) * c.headDim
    recordLlama(g, c, {
      attention: () => ({ qkv: { qkv_proj: rows } }),
      mlp: { up: { gate_up_proj: 2 * c.intermediateSize } },
    })
  },
}
