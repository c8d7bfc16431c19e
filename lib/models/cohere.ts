import { attention, gatedMlp, headNorms } from './blocks.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'

/** Attention and feed-forward layer side by side, layer norms without biases, neighbouring rotary pairs. */
export const cohere: ModelFamily = {
  title: 'Cohere Command R',
  architectures: ['CohereForCausalLM'],
  names: { rms_norm_eps: 'layer_norm_eps', mlp_bias: null },
  defaults: { rms_norm_eps: 1e-5, rope_theta: 5e5, tie_word_embeddings: true },
  record: (g, c) => {
    const d = new Decoder(g, c, { norm: 'layer' })
    const rope = d.rope({ interleaved: true })
    const normed = c.options.flag('use_qk_norm', false)
    d.embed('model.embed_tokens')
    for (const layer of d.layers('model.layers')) {
      const x = d.norm(`${layer.path}.input_layernorm`)
      const qkNorm = normed ? headNorms(d, layer, { norm: 'layer', each: 'row' }) : undefined
      d.add(attention(d, layer, x, { rope, qkNorm }))
      d.add(gatedMlp(d, layer, x))
    }
    d.finish(d.norm('model.norm'), { factor: c.options.number('logit_scale', 0.0625) })
  },
}
