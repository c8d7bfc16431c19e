import { attention, gatedMlp } from './blocks.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'

/** A Llama with norms that learn nothing, whose q, k and v may be limited. */
export const olmo: ModelFamily = {
  title: 'OLMo',
  architectures: ['OlmoForCausalLM'],
  names: { rms_norm_eps: null, mlp_bias: null },
  defaults: { rms_norm_eps: 1e-5 },
  record: (g, c) => {
    const d = new Decoder(g, c, { norm: 'layer', gain: false })
    const clip = c.options.has('clip_qkv') ? c.options.positive('clip_qkv') : undefined
    d.embed('model.embed_tokens')
    for (const layer of d.layers('model.layers')) {
      d.add(attention(d, layer, d.norm(`${layer.path}.input_layernorm`), { clip }))
      d.add(gatedMlp(d, layer, d.norm(`${layer.path}.post_attention_layernorm`)))
    }
    d.finish(d.norm('model.norm'))
  },
}
