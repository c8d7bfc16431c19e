import { gatedMlp } from './blocks.js'
import type { ModelConfig } from './config.js'
import { experts } from './experts.js'
import type { ModelFamily } from './family.js'
import { recordLlama } from './llama.js'
import { refuse } from './refuse.js'

/** An ERNIE 4.5 with mixtures of experts in some layers, beside experts that every token passes. */
export const ernie45Moe: ModelFamily = {
  title: 'ERNIE 4.5 MoE',
  architectures: ['Ernie4_5_MoeForCausalLM'],
  names: {
    ...{ attention_bias: 'use_bias', mlp_bias: 'use_bias' },
    num_experts: ['moe_num_experts', 'num_experts'],
    num_experts_per_tok: ['moe_k', 'num_experts_per_tok'],
  },
  defaults: {
    ...{ rope_theta: 5e5, num_key_value_heads: 4, rms_norm_eps: 1e-5, tie_word_embeddings: true },
    ...{ num_experts: 64, num_experts_per_tok: 6, moe_intermediate_size: 1536 },
  },
  record: (g, c) => {
    refuse(c, 'use_bias', false)
    const { options } = c
    const count = options.integer('num_experts', { min: 1 })
    const inner = options.integer('moe_intermediate_size', { min: 1 })
    const shared = options.integer('moe_num_shared_experts', { min: 0, fallback: 2 })
    const bias = { rows: count, shape: [1, count] }
    recordLlama(g, c, {
      attention: (d) => ({ rope: d.rope({ interleaved: true }) }),
      feedForward: (d, layer, x) =>
        isSparse(c, layer.index)
          ? experts(d, layer, x, {
              ...{ count, inner },
              shared: shared > 0 ? { name: 'shared_experts', inner: shared * inner } : undefined,
              choiceBias: (module) => ({ [`${module}.moe_statics.e_score_correction_bias`]: bias }),
              routing: {
                topK: options.integer('num_experts_per_tok', { min: 1 }),
                renormalise: true,
              },
            })
          : gatedMlp(d, layer, x),
    })
  },
}

function isSparse({ options, layers }: ModelConfig, layer: number): boolean {
  const first = options.integer('moe_layer_start_index', { min: 0, fallback: 1 })
  const last = options.number('moe_layer_end_index', -1)
  const interval = options.integer('moe_layer_interval', { min: 1, fallback: 1 })
  return layer >= first && layer <= (last < 0 ? layers - 1 : last) && (layer + 1) % interval === 0
}
