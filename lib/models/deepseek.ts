import { EngineError } from '../errors.js'
import type { PlanBuilder } from '../plan/builder.js'
import type { Routing, Value } from '../plan/ops.js'
import { gatedMlp } from './blocks.js'
import type { ModelConfig } from './config.js'
import { Decoder, type Layer } from './decoder.js'
import { experts } from './experts.js'
import type { ModelFamily } from './family.js'
import { latentAttention, latentShape } from './latent-attention.js'

const sizes = {
  ...{ kv_lora_rank: 512, qk_nope_head_dim: 128, qk_rope_head_dim: 64, v_head_dim: 128 },
  ...{ n_routed_experts: 64, num_experts_per_tok: 6, moe_intermediate_size: 1407 },
}

/** Latent attention, and mixtures of experts beside ones that every token passes. */
export const deepseekV2: ModelFamily = {
  title: 'DeepSeek V2',
  architectures: ['DeepseekV2ForCausalLM'],
  names: { head_dim: 'qk_rope_head_dim' },
  defaults: { ...sizes, first_k_dense_replace: 0, routed_scaling_factor: 1 },
  record: (g, c) => recordDeepseek(g, c, routingV2(c)),
}

/** A DeepSeek V2 whose experts are chosen by groups, with a bias that balances them. */
export const deepseekV3: ModelFamily = {
  title: 'DeepSeek V3 and R1',
  architectures: ['DeepseekV3ForCausalLM'],
  names: { head_dim: 'qk_rope_head_dim' },
  defaults: {
    ...{ ...sizes, n_routed_experts: 256, num_experts_per_tok: 8, moe_intermediate_size: 2048 },
    ...{ n_group: 8, topk_group: 4, n_shared_experts: 1, norm_topk_prob: true, q_lora_rank: 1536 },
    ...{ first_k_dense_replace: 3, routed_scaling_factor: 2.5, rope_interleave: true },
  },
  record: (g, c) => recordDeepseek(g, c, routingV3(c), true),
}

function routingV2({ options }: ModelConfig): Partial<Routing> {
  const scale = options.positive('routed_scaling_factor')
  const method = options.text('topk_method', 'greedy')
  if (method === 'greedy') return { scale }
  if (method === 'group_limited_greedy') return { scale, ...groupsOf(options) }
  throw new EngineError(
    'unsupported_model',
    `${options.where}: topk_method "${method}" is not supported; supported are greedy, group_limited_greedy`,
  )
}

function routingV3({ options }: ModelConfig): Partial<Routing> {
  return {
    ...groupsOf(options),
    score: 'sigmoid',
    groupScore: 'bestTwo',
    renormalise: options.flag('norm_topk_prob'),
    scale: options.positive('routed_scaling_factor'),
  }
}

function groupsOf(options: ModelConfig['options']) {
  return {
    groups: options.integer('n_group', { min: 1, fallback: 1 }),
    topGroups: options.integer('topk_group', { min: 1, fallback: 1 }),
  }
}

function recordDeepseek(
  g: PlanBuilder,
  c: ModelConfig,
  routing: Partial<Routing>,
  balanced = false,
): void {
  const d = new Decoder(g, c)
  const shape = latentShape(c)
  const dense = c.options.integer('first_k_dense_replace', { min: 0 })
  d.embed('model.embed_tokens')
  for (const layer of d.layers('model.layers', () => false, shape.cache)) {
    d.add(latentAttention(d, layer, d.norm(`${layer.path}.input_layernorm`), shape))
    const x = d.norm(`${layer.path}.post_attention_layernorm`)
    if (layer.index < dense) d.add(gatedMlp(d, layer, x))
    else d.add(mixture(d, layer, x, routing, balanced))
  }
  d.finish(d.norm('model.norm'))
}

function mixture(
  d: Decoder,
  layer: Layer,
  x: Value,
  routing: Partial<Routing>,
  balanced: boolean,
): Value {
  const { options } = d.c
  const inner = options.integer('moe_intermediate_size', { min: 1 })
  const shared = options.integer('n_shared_experts', { min: 0, fallback: 0 })
  const count = options.integer('n_routed_experts', { min: 1 })
  return experts(d, layer, x, {
    count,
    inner,
    routing: { ...routing, topK: options.integer('num_experts_per_tok', { min: 1 }) },
    choiceBias: balanced
      ? (module) => ({ [`${module}.gate.e_score_correction_bias`]: count })
      : undefined,
    shared: shared > 0 ? { name: 'shared_experts', inner: shared * inner } : undefined,
  })
}
