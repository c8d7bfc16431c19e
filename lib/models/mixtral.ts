import { experts, separateExperts } from './experts.js'
import type { ModelFamily } from './family.js'
import { recordLlama } from './llama.js'

/** A Llama whose feed-forward layers are mixtures of experts. */
export const mixtral: ModelFamily = {
  title: 'Mixtral',
  architectures: ['MixtralForCausalLM'],
  defaults: { num_local_experts: 8, num_experts_per_tok: 2 },
  record: (g, c) =>
    recordLlama(g, c, {
      feedForward: (d, layer, x) =>
        experts(d, layer, x, {
          name: 'block_sparse_moe',
          count: c.options.integer('num_local_experts', { min: 1 }),
          inner: c.intermediateSize,
          routing: {
            topK: c.options.integer('num_experts_per_tok', { min: 1 }),
            renormalise: true,
          },
          tensors: separateExperts(d, c.intermediateSize, ['w1', 'w3', 'w2']),
        }),
    }),
}
