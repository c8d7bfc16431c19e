import type { PlanBuilder } from '../plan/builder.js'
import { attention, gatedMlp, type Attention } from './blocks.js'
import type { ModelConfig } from './config.js'
import { Decoder, type Layer } from './decoder.js'
import type { ModelFamily } from './family.js'
import { refuse } from './refuse.js'

/** Norms around attention and feed-forward layer, softcaps, and a window in every second layer. */
export const gemma2: ModelFamily = {
  title: 'Gemma 2',
  architectures: ['Gemma2ForCausalLM'],
  names: { hidden_act: 'hidden_activation' },
  defaults: {
    ...{ hidden_act: 'gelu_pytorch_tanh', tie_word_embeddings: true, head_dim: 256 },
    ...{ sliding_window: 4096, query_pre_attn_scalar: 256 },
    ...{ attn_logit_softcapping: 50, final_logit_softcapping: 30 },
  },
  record: (g, c) => recordGemma(g, c, { isWindowed: (layer) => layer % 2 === 0 }),
}

export interface GemmaOptions {
  readonly isWindowed: (layer: number) => boolean
  readonly attention?: (d: Decoder, layer: Layer) => Attention
}

/** Records a Gemma 2, or what differs from it in these options only. */
export function recordGemma(g: PlanBuilder, c: ModelConfig, options: GemmaOptions): void {
  refuse(c, 'use_bidirectional_attention', false)
  const d = new Decoder(g, c, { norm: 'rms', offset: 1 })
  const cap = (name: string) => (c.options.has(name) ? c.options.positive(name) : undefined)
  const softcap = cap('attn_logit_softcapping')
  const scale = c.options.positive('query_pre_attn_scalar') ** -0.5
  d.embed('model.embed_tokens', { scale: Math.sqrt(c.hiddenSize) })
  for (const layer of d.layers('model.layers', options.isWindowed)) {
    const { path } = layer
    const x = d.norm(`${path}.input_layernorm`)
    const attended = attention(d, layer, x, { scale, softcap, ...options.attention?.(d, layer) })
    d.add(d.normOf(`${path}.post_attention_layernorm`, attended))
    const y = gatedMlp(d, layer, d.norm(`${path}.pre_feedforward_layernorm`))
    d.add(d.normOf(`${path}.post_feedforward_layernorm`, y))
  }
  d.finish(d.norm('model.norm'), { cap: cap('final_logit_softcapping') })
}
