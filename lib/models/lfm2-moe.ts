import { experts, separateExperts } from './experts.js'
import type { ModelFamily } from './family.js'
import { lfm2Mlp, recordLfm2 } from './lfm2.js'

/** An LFM2 whose feed-forward layers, but for the first ones, are mixtures of experts. */
export const lfm2Moe: ModelFamily = {
  title: 'LFM2 MoE',
  architectures: ['Lfm2MoeForCausalLM'],
  names: {
    ...{ rms_norm_eps: 'norm_eps', tie_word_embeddings: ['tie_embedding', 'tie_word_embeddings'] },
    ...{ hidden_act: null, attention_bias: null, mlp_bias: null },
  },
  defaults: {
    ...{ rms_norm_eps: 1e-5, rope_theta: 1e6, tie_word_embeddings: true, num_key_value_heads: 8 },
    ...{ conv_L_cache: 3, num_dense_layers: 2, num_experts: 32, num_experts_per_tok: 4 },
    ...{ moe_intermediate_size: 1792, use_expert_bias: true, norm_topk_prob: true },
  },
  record: (g, c) => {
    const { options } = c
    const dense = options.integer('num_dense_layers', { min: 0 })
    const count = options.integer('num_experts', { min: 1 })
    const inner = options.integer('moe_intermediate_size', { min: 1 })
    recordLfm2(g, c, (d, layer, x) =>
      layer.index < dense
        ? lfm2Mlp(d, layer, x, c.intermediateSize)
        : experts(d, layer, x, {
            name: 'feed_forward',
            count,
            inner,
            tensors: separateExperts(d, inner, ['w1', 'w3', 'w2']),
            choiceBias: options.flag('use_expert_bias')
              ? (module) => ({ [`${module}.expert_bias`]: count })
              : undefined,
            routing: {
              topK: options.integer('num_experts_per_tok', { min: 1 }),
              score: 'sigmoid',
              renormalise: options.flag('norm_topk_prob'),
              scale: options.positive('routed_scaling_factor', 1),
            },
          }),
    )
  },
}
