import { experts } from './experts.js'
import type { ModelFamily } from './family.js'
import { normedAfterRope } from './hunyuan-dense.js'
import { recordLlama } from './llama.js'

/** A dense Hunyuan with mixtures of experts, beside an expert that every token passes. */
export const hunyuanMoe: ModelFamily = {
  title: 'Hunyuan (MoE)',
  architectures: ['HunYuanMoEV1ForCausalLM'],
  names: { mlp_bias: null },
  defaults: { rms_norm_eps: 1e-5, num_experts: 1, moe_topk: 1 },
  record: (g, c) => {
    // One number for all layers, or one for each.
    const counts = c.options.ids('num_experts')
    const chosen = c.options.ids('moe_topk')
    recordLlama(g, c, {
      attention: (d, layer) => ({ qkNorm: normedAfterRope(d, layer) }),
      feedForward: (d, layer, x) =>
        experts(d, layer, x, {
          router: 'gate.wg',
          count: counts[layer.index] ?? counts[0] ?? 1,
          inner: c.intermediateSize,
          shared: { name: 'shared_mlp', inner: c.intermediateSize },
          routing: { topK: chosen[layer.index] ?? chosen[0] ?? 1, renormalise: true },
        }),
    })
  },
}
