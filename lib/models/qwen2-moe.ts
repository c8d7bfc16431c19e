import type { Value } from '../plan/ops.js'
import type { ModelConfig } from './config.js'
import type { Decoder, Layer } from './decoder.js'
import { gatedMlp } from './blocks.js'
import { experts, type Experts } from './experts.js'
import type { ModelFamily } from './family.js'
import { recordLlama } from './llama.js'

/** A Qwen 2 with mixtures of experts, beside an expert that every token passes by a gate. */
export const qwen2Moe: ModelFamily = {
  title: 'Qwen 2 MoE',
  architectures: ['Qwen2MoeForCausalLM'],
  names: { num_experts: ['num_experts', 'num_local_experts'] },
  defaults: {
    ...{ num_experts: 60, num_experts_per_tok: 4, moe_intermediate_size: 1408 },
    ...{ shared_expert_intermediate_size: 5632, use_sliding_window: false, sliding_window: 4096 },
  },
  record: (g, c) => {
    const bias = c.options.flag('qkv_bias', true)
    const first = c.options.integer('max_window_layers', { min: 0, fallback: 28 })
    const inner = c.options.integer('shared_expert_intermediate_size', { min: 1 })
    const shared = { name: 'shared_expert', inner, gate: 'shared_expert_gate' }
    recordLlama(g, c, {
      attention: () => ({ bias, outBias: false }),
      isWindowed: (layer) => layer % 2 === 0 && layer < first,
      feedForward: (d, layer, x) => sparseMlp(d, layer, x, { shared }),
    })
  },
}

/** Experts in the layers that config.json's `decoder_sparse_step` and `mlp_only_layers` say, else none. */
export function sparseMlp(
  d: Decoder,
  layer: Layer,
  x: Value,
  options: Pick<Experts, 'shared'> = {},
): Value {
  const { c } = d
  if (!isSparse(c, layer.index)) return gatedMlp(d, layer, x)
  return experts(d, layer, x, {
    count: c.options.integer('num_experts', { min: 1 }),
    inner: c.options.integer('moe_intermediate_size', { min: 1 }),
    routing: {
      topK: c.options.integer('num_experts_per_tok', { min: 1 }),
      renormalise: c.options.flag('norm_topk_prob', false),
    },
    ...options,
  })
}

function isSparse({ options }: ModelConfig, layer: number): boolean {
  const step = options.integer('decoder_sparse_step', { min: 1, fallback: 1 })
  return !options.ids('mlp_only_layers').includes(layer) && (layer + 1) % step === 0
}
