import { attention, gatedMlp, headNorms } from './blocks.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'

/** Norms after attention and feed-forward layer; with windows, only layers that have one turn positions. */
export const exaone4: ModelFamily = {
  title: 'EXAONE 4',
  architectures: ['Exaone4ForCausalLM'],
  names: { attention_bias: null, mlp_bias: null },
  defaults: { rms_norm_eps: 1e-5, sliding_window: 4096 },
  record: (g, c) => {
    const d = new Decoder(g, c)
    const hybrid = c.options.has('sliding_window')
    const listed = !hybrid || c.options.has('layer_types')
    const pattern = listed
      ? 1
      : c.options.integer('sliding_window_pattern', { min: 1, fallback: 4 })
    d.embed('model.embed_tokens')
    for (const layer of d.layers('model.layers', (i) => (i + 1) % pattern !== 0)) {
      const { path } = layer
      const rope = hybrid && layer.type === 'full' ? null : d.rope()
      const attended = attention(d, layer, d.stream(), { rope, qkNorm: headNorms(d, layer) })
      d.add(d.normOf(`${path}.post_attention_layernorm`, attended))
      d.add(d.normOf(`${path}.post_feedforward_layernorm`, gatedMlp(d, layer, d.stream())))
    }
    d.finish(d.norm('model.norm'))
  },
}
