import { headNorms } from './blocks.js'
import type { ModelFamily } from './family.js'
import { recordLlama } from './llama.js'
import { sparseMlp } from './qwen2-moe.js'

/** A Qwen 3 with mixtures of experts. */
export const qwen3Moe: ModelFamily = {
  title: 'Qwen 3 MoE',
  architectures: ['Qwen3MoeForCausalLM'],
  names: { num_experts: ['num_experts', 'num_local_experts'] },
  defaults: {
    ...{ num_experts: 128, num_experts_per_tok: 8, moe_intermediate_size: 768 },
    ...{ use_sliding_window: false, sliding_window: 4096 },
  },
  record: (g, c) =>
    recordLlama(g, c, {
      attention: (d, layer) => ({ qkNorm: headNorms(d, layer) }),
      feedForward: (d, layer, x) => sparseMlp(d, layer, x),
    }),
}
