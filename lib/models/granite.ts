import type { PlanBuilder } from '../plan/builder.js'
import type { Value } from '../plan/ops.js'
import { attention, gatedMlp } from './blocks.js'
import type { ModelConfig } from './config.js'
import { Decoder, type Layer } from './decoder.js'
import type { ModelFamily } from './family.js'

/** A Llama with factors of embeddings, attention, what is added to the stream, and logits. */
export const granite: ModelFamily = {
  title: 'Granite',
  architectures: ['GraniteForCausalLM'],
  record: (g, c) => recordGranite(g, c, gatedMlp),
}

/** Records a Granite with this feed-forward layer. */
export function recordGranite(
  g: PlanBuilder,
  c: ModelConfig,
  feedForward: (d: Decoder, layer: Layer, x: Value) => Value,
  { turns = true }: { readonly turns?: boolean } = {},
): void {
  const d = new Decoder(g, c)
  const factor = (name: string) => c.options.positive(name, 1)
  const residual = factor('residual_multiplier')
  const scale = factor('attention_multiplier')
  d.embed('model.embed_tokens', { scale: factor('embedding_multiplier') })
  for (const layer of d.layers('model.layers')) {
    const { path } = layer
    const attended = attention(d, layer, d.norm(`${path}.input_layernorm`), {
      scale,
      ...(turns ? {} : { rope: null }),
    })
    d.add(attended, { factor: residual, label: `${path}.self_attn.scaled` })
    const y = feedForward(d, layer, d.norm(`${path}.post_attention_layernorm`))
    d.add(y, { factor: residual, label: `${path}.mlp.scaled` })
  }
  d.finish(d.norm('model.norm'), { factor: 1 / factor('logits_scaling') })
}
