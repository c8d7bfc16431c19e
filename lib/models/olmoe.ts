import { headNorms } from './blocks.js'
import { experts } from './experts.js'
import type { ModelFamily } from './family.js'
import { recordLlama } from './llama.js'

/** A Llama with norms of all of q and k, which may be limited, and mixtures of experts. */
export const olmoe: ModelFamily = {
  title: 'OLMoE',
  architectures: ['OlmoeForCausalLM'],
  names: { mlp_bias: null },
  defaults: { num_experts: 64, num_experts_per_tok: 8, rms_norm_eps: 1e-5 },
  record: (g, c) => {
    const clip = c.options.has('clip_qkv') ? c.options.positive('clip_qkv') : undefined
    recordLlama(g, c, {
      attention: (d, layer) => ({ qkNorm: headNorms(d, layer, { over: 'all' }), clip }),
      feedForward: (d, layer, x) =>
        experts(d, layer, x, {
          count: c.options.integer('num_experts', { min: 1 }),
          inner: c.intermediateSize,
          routing: {
            topK: c.options.integer('num_experts_per_tok', { min: 1 }),
            renormalise: c.options.flag('norm_topk_prob', false),
          },
        }),
    })
  },
}
