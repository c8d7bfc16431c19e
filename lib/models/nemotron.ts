import { attention, plainMlp } from './blocks.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'

/** Layer norms whose gains are stored around zero, partial rotation, squared ReLUs without a gate. */
export const nemotron: ModelFamily = {
  title: 'Nemotron',
  architectures: ['NemotronForCausalLM'],
  names: { rms_norm_eps: 'norm_eps' },
  defaults: { hidden_act: 'relu2', rms_norm_eps: 1e-5, partial_rotary_factor: 0.5 },
  record: (g, c) => {
    const d = new Decoder(g, c, { norm: 'layer', bias: true, offset: 1 })
    d.embed('model.embed_tokens')
    for (const layer of d.layers('model.layers')) {
      d.add(attention(d, layer, d.norm(`${layer.path}.input_layernorm`)))
      d.add(plainMlp(d, layer, d.norm(`${layer.path}.post_attention_layernorm`)))
    }
    d.finish(d.norm('model.norm'))
  },
}
