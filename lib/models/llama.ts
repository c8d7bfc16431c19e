import type { ModuleParts, PlanBuilder } from '../plan/builder.js'
import type { Value } from '../plan/ops.js'
import type { ModelConfig } from './config.js'
import { ropeOf } from './rope.js'

/** LlamaForCausalLM: pre-norm blocks of grouped-query attention and a gated feed-forward layer. */
export function llama(g: PlanBuilder, c: ModelConfig): void {
  const { hiddenSize: hidden, intermediateSize: inner, headDim, kvHeads } = c
  const qCols = c.heads * headDim
  const kvCols = kvHeads * headDim
  const rope = g.rope(ropeOf(c.rope))
  const kv = g.cache({ name: 'kv', layers: c.layers, kvHeads, keyDim: headDim, valueDim: headDim })
  const table = g.table({ 'model.embed_tokens.weight': c.vocabSize }, hidden)
  const residual = g.embed('model.embed_tokens', table)

  // The first norm reads the embeddings themselves; each later one first adds its input to them.
  const norm = (label: string, x: Value) =>
    g.norm(label, x, {
      norm: 'rms',
      eps: c.normEps,
      weight: g.vector({ [`${label}.weight`]: hidden }),
      residual: x === residual ? undefined : residual,
    })

  let x = residual
  for (let layer = 0; layer < c.layers; layer++) {
    const block = `model.layers.${layer}`
    const attn = `${block}.self_attn`
    const mlp = `${block}.mlp`
    const heads = { group: kv, layer, heads: c.heads }

    const attention = (parts: ModuleParts, columns: number) =>
      g.modules(attn, parts, { columns, bias: c.attentionBias })
    const feedForward = (parts: ModuleParts, columns: number) =>
      g.modules(mlp, parts, { columns, bias: c.mlpBias })

    x = norm(`${block}.input_layernorm`, x)
    const qkv = { q_proj: qCols, k_proj: kvCols, v_proj: kvCols }
    x = g.linear(`${attn}.qkv_proj`, x, attention(qkv, hidden))
    x = g.ropeStoreKv(`${attn}.rope`, x, { ...heads, rope })
    x = g.pagedAttention(`${attn}.attn`, x, { ...heads, scale: headDim ** -0.5 })
    x = g.linear(`${attn}.o_proj`, x, attention({ o_proj: hidden }, qCols))

    x = norm(`${block}.post_attention_layernorm`, x)
    const gateUp = { gate_proj: inner, up_proj: inner }
    x = g.linear(`${mlp}.gate_up_proj`, x, feedForward(gateUp, hidden))
    x = g.activation(`${mlp}.act`, x, { activation: c.activation, gated: true })
    x = g.linear(`${mlp}.down_proj`, x, feedForward({ down_proj: hidden }, inner))
  }
  x = norm('model.norm', x)
  x = g.gatherRows('gather', x)
  const head = c.tiedEmbeddings ? table : g.matrix({ 'lm_head.weight': c.vocabSize }, hidden)
  g.sample('sample', g.linear('lm_head', x, { weight: head }))
}
