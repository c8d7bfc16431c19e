import { attention, gatedMlp } from './blocks.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'

/** Cohere with a window in three of four layers; the others do not turn positions. */
export const cohere2: ModelFamily = {
  title: 'Cohere Command R7B, A',
  architectures: ['Cohere2ForCausalLM'],
  names: { rms_norm_eps: 'layer_norm_eps', mlp_bias: null },
  defaults: { rms_norm_eps: 1e-5, tie_word_embeddings: true, sliding_window: 4096 },
  record: (g, c) => {
    const d = new Decoder(g, c, { norm: 'layer' })
    const rope = d.rope({ interleaved: true })
    const pattern = c.options.integer('sliding_window_pattern', { min: 1, fallback: 4 })
    d.embed('model.embed_tokens')
    for (const layer of d.layers('model.layers', (i) => (i + 1) % pattern !== 0)) {
      const x = d.norm(`${layer.path}.input_layernorm`)
      d.add(attention(d, layer, x, { rope: layer.type === 'window' ? rope : null }))
      d.add(gatedMlp(d, layer, x))
    }
    d.finish(d.norm('model.norm'), { factor: c.options.number('logit_scale', 0.0625) })
  },
}
