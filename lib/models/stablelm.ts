import { attention, gatedMlp, headNorms } from './blocks.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'

/** Layer norms and partial rotation; maybe norms of q and k, and feed-forward beside attention. */
export const stablelm: ModelFamily = {
  title: 'StableLM',
  architectures: ['StableLmForCausalLM'],
  names: { rms_norm_eps: 'layer_norm_eps', attention_bias: 'use_qkv_bias', mlp_bias: null },
  defaults: { rms_norm_eps: 1e-5, partial_rotary_factor: 0.25 },
  record: (g, c) => {
    const d = new Decoder(g, c, { norm: 'layer', bias: true })
    const parallel = c.options.flag('use_parallel_residual', false)
    const normed = c.options.flag('qk_layernorm', false)
    const names = { q: 'q_layernorm', k: 'k_layernorm' }
    d.embed('model.embed_tokens')
    for (const layer of d.layers('model.layers')) {
      const x = d.norm(`${layer.path}.input_layernorm`)
      const norms = { ...names, norm: 'layer', each: 'module' } as const
      const qkNorm = normed ? headNorms(d, layer, norms) : undefined
      d.add(attention(d, layer, x, { qkNorm, outBias: false }))
      d.add(gatedMlp(d, layer, parallel ? x : d.norm(`${layer.path}.post_attention_layernorm`)))
    }
    d.finish(d.norm('model.norm'))
  },
}
