import { attention, plainMlp } from './blocks.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'

/** A Llama with a feed-forward layer without a gate. */
export const arcee: ModelFamily = {
  title: 'Arcee',
  architectures: ['ArceeForCausalLM'],
  defaults: { hidden_act: 'relu2', rms_norm_eps: 1e-5 },
  record: (g, c) => {
    const d = new Decoder(g, c)
    d.embed('model.embed_tokens')
    for (const layer of d.layers('model.layers')) {
      d.add(attention(d, layer, d.norm(`${layer.path}.input_layernorm`)))
      d.add(plainMlp(d, layer, d.norm(`${layer.path}.post_attention_layernorm`)))
    }
    d.finish(d.norm('model.norm'))
  },
}
