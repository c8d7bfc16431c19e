import type { PlanBuilder } from '../plan/builder.js'
import type { Value } from '../plan/ops.js'
import { attention, gatedMlp, type Attention, type FeedForward } from './blocks.js'
import type { ModelConfig } from './config.js'
import { Decoder, type Layer } from './decoder.js'
import type { ModelFamily } from './family.js'

/** Pre-norm blocks of grouped-query attention and a gated feed-forward layer. */
export const llama: ModelFamily = {
  title: 'Llama 2 and 3',
  architectures: ['LlamaForCausalLM'],
  record: (g, c) => recordLlama(g, c),
}

/** What a family may do otherwise in a Llama. */
export interface LlamaOptions {
  readonly attention?: (d: Decoder, layer: Layer) => Attention
  readonly mlp?: FeedForward
  /** What stands in place of the gated feed-forward layer. */
  readonly feedForward?: (d: Decoder, layer: Layer, x: Value) => Value
  /** Layers that have a window where the config does not say. Default: all. */
  readonly isWindowed?: (layer: number) => boolean
}

/** Records a Llama, or what differs from it in these options only. */
export function recordLlama(g: PlanBuilder, c: ModelConfig, options: LlamaOptions = {}): void {
  const d = new Decoder(g, c)
  d.embed('model.embed_tokens')
  for (const layer of d.layers('model.layers', options.isWindowed)) {
    const x = d.norm(`${layer.path}.input_layernorm`)
    d.add(attention(d, layer, x, options.attention?.(d, layer)))
    const y = d.norm(`${layer.path}.post_attention_layernorm`)
    d.add(options.feedForward?.(d, layer, y) ?? gatedMlp(d, layer, y, options.mlp))
  }
  d.finish(d.norm('model.norm'))
}
