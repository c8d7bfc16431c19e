import type { ModelFamily } from './family.js'
import { recordLlama } from './llama.js'

/** A Llama some of whose layers do not turn positions. */
export const smollm3: ModelFamily = {
  title: 'SmolLM3',
  architectures: ['SmolLM3ForCausalLM'],
  defaults: {
    ...{ rope_theta: 2e6, tie_word_embeddings: true, num_key_value_heads: 4 },
    use_sliding_window: false,
  },
  record: (g, c) => {
    const interval = c.options.integer('no_rope_layer_interval', { min: 1, fallback: 4 })
    const listed = c.options.numbers('no_rope_layers')
    const turns = (layer: number) => (listed[layer] ?? (layer + 1) % interval) !== 0
    recordLlama(g, c, {
      attention: (_, { index }) => (turns(index) ? {} : { rope: null }),
      isWindowed: (layer) => !turns(layer),
    })
  },
}
