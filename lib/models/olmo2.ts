import type { PlanBuilder } from '../plan/builder.js'
import type { Rope } from '../plan/ops.js'
import { attention, gatedMlp, headNorms } from './blocks.js'
import type { ModelConfig } from './config.js'
import { Decoder, type Layer } from './decoder.js'
import type { ModelFamily } from './family.js'

/** Norms of what attention and feed-forward layer give instead of what they take, and of all of q and k. */
export const olmo2: ModelFamily = {
  title: 'OLMo 2',
  architectures: ['Olmo2ForCausalLM'],
  names: { mlp_bias: null },
  defaults: { rms_norm_eps: 1e-5 },
  record: (g, c) => recordOlmo2(g, c),
}

export interface Olmo2Options {
  readonly isWindowed?: (layer: number) => boolean
  readonly rope?: (d: Decoder, layer: Layer) => Rope
}

/** Records an OLMo 2, or what differs from it in these options only. */
export function recordOlmo2(g: PlanBuilder, c: ModelConfig, options: Olmo2Options = {}): void {
  const d = new Decoder(g, c)
  d.embed('model.embed_tokens')
  for (const layer of d.layers('model.layers', options.isWindowed)) {
    const { path } = layer
    const given = { qkNorm: headNorms(d, layer, { over: 'all' }), rope: options.rope?.(d, layer) }
    d.add(d.normOf(`${path}.post_attention_layernorm`, attention(d, layer, d.stream(), given)))
    d.add(d.normOf(`${path}.post_feedforward_layernorm`, gatedMlp(d, layer, d.stream())))
  }
  d.finish(d.norm('model.norm'))
}
