import type { PlanBuilder } from '../plan/builder.js'
import type { Value } from '../plan/ops.js'
import type { ModelConfig } from './config.js'
import { ropeOf } from './rope.js'

/** LlamaForCausalLM: pre-norm blocks of grouped-query attention and a gated feed-forward layer. */
export function llama(g: PlanBuilder, c: ModelConfig): void {
  const { kvHeads, headDim } = c
  const qCols = c.heads * headDim
  const kvCols = kvHeads * headDim
  const hidden = { columns: c.hiddenSize }
  const rope = g.rope(ropeOf(c.rope))
  const kv = g.cache({ name: 'kv', layers: c.layers, kvHeads, keyDim: headDim, valueDim: headDim })
  const table = g.matrix({ 'model.embed_tokens.weight': c.vocabSize }, c.hiddenSize)
  const residual = g.embed('model.embed_tokens', table)

  // The first norm reads the embeddings themselves; each later one first adds its input to them.
  const norm = (label: string, x: Value) =>
    g.norm(label, x, {
      norm: 'rms',
      eps: c.normEps,
      weight: g.vector({ [`${label}.weight`]: c.hiddenSize }),
      residual: x === residual ? undefined : residual,
    })

  let x = residual
  for (let layer = 0; layer < c.layers; layer++) {
    const block = `model.layers.${layer}`
    const attn = `${block}.self_attn`
    const mlp = `${block}.mlp`
    const heads = { group: kv, layer, heads: c.heads }
    const bias = c.attentionBias
    const qkv = {
      [`${attn}.q_proj`]: qCols,
      [`${attn}.k_proj`]: kvCols,
      [`${attn}.v_proj`]: kvCols,
    }
    const gateUp = {
      [`${mlp}.gate_proj`]: c.intermediateSize,
      [`${mlp}.up_proj`]: c.intermediateSize,
    }
    x = norm(`${block}.input_layernorm`, x)
    x = g.linear(`${attn}.qkv_proj`, x, g.modules(qkv, { ...hidden, bias }))
    x = g.ropeStoreKv(`${attn}.rope`, x, { ...heads, rope })
    x = g.pagedAttention(`${attn}.attn`, x, { ...heads, scale: headDim ** -0.5 })
    const o = { [`${attn}.o_proj`]: c.hiddenSize }
    x = g.linear(`${attn}.o_proj`, x, g.modules(o, { columns: qCols, bias }))

    x = norm(`${block}.post_attention_layernorm`, x)
    x = g.linear(`${mlp}.gate_up_proj`, x, g.modules(gateUp, { ...hidden, bias: c.mlpBias }))
    x = g.activation(`${mlp}.act`, x, { activation: c.activation, gated: true })
    const down = { [`${mlp}.down_proj`]: c.hiddenSize }
    x = g.linear(
      `${mlp}.down_proj`,
      x,
      g.modules(down, { columns: c.intermediateSize, bias: c.mlpBias }),
    )
  }
  x = norm('model.norm', x)
  x = g.gatherRows('gather', x)
  const head = c.tiedEmbeddings ? table : g.matrix({ 'lm_head.weight': c.vocabSize }, c.hiddenSize)
  g.sample('sample', g.linear('lm_head', x, { weight: head }))
}
