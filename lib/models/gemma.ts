import { attention, gatedMlp } from './blocks.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'
import { refuse } from './refuse.js'

/** A Llama with scaled embeddings, gains around zero, and GELU, which older files do not name exactly. */
export const gemma: ModelFamily = {
  title: 'Gemma',
  architectures: ['GemmaForCausalLM'],
  names: { hidden_act: ['hidden_activation', 'hidden_act'] },
  defaults: { hidden_act: 'gelu', tie_word_embeddings: true, head_dim: 256 },
  record: (g, c) => {
    refuse(c, 'use_bidirectional_attention', false)
    const d = new Decoder(g, c, { norm: 'rms', offset: 1 })
    const activation = c.activation === 'gelu' ? 'geluTanh' : c.activation
    d.embed('model.embed_tokens', { scale: Math.sqrt(c.hiddenSize) })
    for (const layer of d.layers('model.layers')) {
      d.add(attention(d, layer, d.norm(`${layer.path}.input_layernorm`)))
      const x = d.norm(`${layer.path}.post_attention_layernorm`)
      d.add(gatedMlp(d, layer, x, { activation }))
    }
    d.finish(d.norm('model.norm'))
  },
}
