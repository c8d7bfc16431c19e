import type { ModelFamily } from './family.js'
import { recordLlama } from './llama.js'

/** A Llama with biases of q, k and v; the layers from `max_window_layers` on may have a window. */
export const qwen2: ModelFamily = {
  title: 'Qwen 2 and 2.5',
  architectures: ['Qwen2ForCausalLM'],
  defaults: { use_sliding_window: false, sliding_window: 4096 },
  record: (g, c) => {
    const first = c.options.integer('max_window_layers', { min: 0, fallback: 28 })
    recordLlama(g, c, {
      attention: () => ({ bias: true, outBias: false }),
      isWindowed: (layer) => layer >= first,
    })
  },
}
