import { headNorms } from './blocks.js'
import type { ModelFamily } from './family.js'
import { recordLlama } from './llama.js'

/** A Llama with a norm of each head of q and k. */
export const qwen3: ModelFamily = {
  title: 'Qwen 3',
  architectures: ['Qwen3ForCausalLM'],
  defaults: { use_sliding_window: false, sliding_window: 4096, head_dim: 128 },
  record: (g, c) => {
    const first = c.options.integer('max_window_layers', { min: 0, fallback: 28 })
    recordLlama(g, c, {
      attention: (d, layer) => ({ qkNorm: headNorms(d, layer) }),
      isWindowed: (layer) => layer >= first,
    })
  },
}
