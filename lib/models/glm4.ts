import { attention, gatedMlp } from './blocks.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'

/** GLM with norms before and after attention and feed-forward layer. */
export const glm4: ModelFamily = {
  title: 'GLM-4 (0414)',
  architectures: ['Glm4ForCausalLM'],
  names: { mlp_bias: null },
  defaults: {
    ...{ attention_bias: true, partial_rotary_factor: 0.5, head_dim: 128 },
    ...{ rms_norm_eps: 1.5625e-7, num_key_value_heads: 2 },
  },
  record: (g, c) => {
    const d = new Decoder(g, c)
    const rope = d.rope({ interleaved: true })
    const mlp = { up: { gate_up_proj: 2 * c.intermediateSize } }
    d.embed('model.embed_tokens')
    for (const layer of d.layers('model.layers')) {
      const { path } = layer
      const x = d.norm(`${path}.input_layernorm`)
      const attended = attention(d, layer, x, { rope, outBias: false })
      d.add(d.normOf(`${path}.post_self_attn_layernorm`, attended))
      const y = gatedMlp(d, layer, d.norm(`${path}.post_attention_layernorm`), mlp)
      d.add(d.normOf(`${path}.post_mlp_layernorm`, y))
    }
    d.finish(d.norm('model.norm'))
  },
}
