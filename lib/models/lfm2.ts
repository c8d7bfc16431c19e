import type { PlanBuilder } from '../plan/builder.js'
import type { Value } from '../plan/ops.js'
import { attention, gatedMlp, headNorms, separateQkv } from './blocks.js'
import type { ModelConfig } from './config.js'
import { Decoder, headsCache, type Layer } from './decoder.js'
import type { ModelFamily } from './family.js'
import { layerTypes } from './layer-types.js'

/** Short gated convolutions, which keep a state of the sequence, and attention in some layers. */
export const lfm2: ModelFamily = {
  title: 'LFM2',
  architectures: ['Lfm2ForCausalLM'],
  names: {
    ...{ rms_norm_eps: 'norm_eps', num_attention_heads: ['num_attention_heads', 'num_heads'] },
    tie_word_embeddings: ['tie_embedding', 'tie_word_embeddings'],
    intermediate_size: ['block_ff_dim', 'intermediate_size'],
    ...{ hidden_act: null, attention_bias: null, mlp_bias: null },
  },
  defaults: {
    ...{ rms_norm_eps: 1e-5, rope_theta: 1e6, tie_word_embeddings: true, num_key_value_heads: 8 },
    ...{ conv_L_cache: 3, block_ffn_dim_multiplier: 1 },
  },
  record: (g, c) => recordLfm2(g, c, (d, layer, x) => lfm2Mlp(d, layer, x, innerColumns(c))),
}

/** The feed-forward layer, with so many columns of the gate. */
export function lfm2Mlp(d: Decoder, layer: Layer, x: Value, inner: number): Value {
  return gatedMlp(d, layer, x, { name: 'feed_forward', up: { w1: inner, w3: inner }, down: 'w2' })
}

/** Records an LFM2 with this feed-forward layer. */
export function recordLfm2(
  g: PlanBuilder,
  c: ModelConfig,
  feedForward: (d: Decoder, layer: Layer, x: Value) => Value,
): void {
  const d = new Decoder(g, c)
  const width = c.options.integer('conv_L_cache', { min: 2 })
  const attends = attentionLayers(c)
  const state = { elements: (width - 1) * c.hiddenSize }
  const slots = g.layerCaches(attends.map((does) => (does ? headsCache(c) : state)))
  d.embed('model.embed_tokens')
  for (const [index, slot] of slots.entries()) {
    const layer: Layer = { ...slot, index, path: `model.layers.${index}`, type: 'full' }
    const x = d.norm(`${layer.path}.operator_norm`)
    d.add(attends[index] ? normedAttention(d, layer, x) : convolution(d, layer, x, width))
    d.add(feedForward(d, layer, d.norm(`${layer.path}.ffn_norm`)))
  }
  d.finish(d.norm('model.embedding_norm'))
}

function normedAttention(d: Decoder, layer: Layer, x: Value): Value {
  const qkNorm = headNorms(d, layer, { q: 'q_layernorm', k: 'k_layernorm' })
  return attention(d, layer, x, { qkNorm, qkv: separateQkv(d), out: 'out_proj' })
}

function convolution(d: Decoder, layer: Layer, x: Value, width: number): Value {
  const { g, c } = d
  const columns = c.hiddenSize
  const path = `${layer.path}.conv`
  const bias = c.options.flag('conv_bias', false)
  const input = d.linear(`${path}.in_proj`, x, path, { in_proj: 3 * columns }, { bias })
  const kernel = { rows: columns * width, shape: [columns, 1, width] }
  const convolved = g.shortConv(`${path}.conv`, input, {
    ...{ width, group: layer.group, layer: layer.layer },
    weight: g.vector({ [`${path}.conv.weight`]: kernel }),
    bias: bias ? g.vector({ [`${path}.conv.bias`]: columns }) : undefined,
  })
  return d.linear(`${path}.out_proj`, convolved, path, { out_proj: columns }, { bias })
}

/** Which layers attend; newer files name the type of each, older ones number those that do. */
function attentionLayers({ options, layers }: ModelConfig): readonly boolean[] {
  if (options.has('layer_types'))
    return layerTypes(options, layers, ['full_attention', 'conv']).map((type) => type !== 'conv')
  const numbers = options.has('full_attn_idxs') ? options.ids('full_attn_idxs') : null
  return Array.from({ length: layers }, (_, index) => numbers?.includes(index) ?? true)
}

/** Columns of the gate: two thirds of what config.json says, in multiples, unless it says not to. */
function innerColumns({ options, intermediateSize }: ModelConfig): number {
  if (!options.flag('block_auto_adjust_ff_dim', true)) return intermediateSize
  const most = Math.floor((2 * intermediateSize) / 3)
  if (!options.has('block_ffn_dim_multiplier')) return most
  const multiple = options.integer('block_multiple_of', { min: 1, fallback: 256 })
  const scaled = Math.floor(options.positive('block_ffn_dim_multiplier') * most)
  return multiple * Math.ceil(scaled / multiple)
}
