import { attention, headNorms, plainMlp } from './blocks.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'

/** Attention and feed-forward layer side by side, layer norms, partial rotation, biases everywhere. */
export const phi: ModelFamily = {
  title: 'Phi 1, 1.5 and 2',
  architectures: ['PhiForCausalLM'],
  names: { rms_norm_eps: 'layer_norm_eps', attention_bias: null, mlp_bias: null },
  defaults: {
    ...{ hidden_act: 'gelu_new', rms_norm_eps: 1e-5, partial_rotary_factor: 0.5 },
    ...{ attention_bias: true, mlp_bias: true },
  },
  record: (g, c) => {
    const d = new Decoder(g, c, { norm: 'layer', bias: true })
    const normed = c.options.flag('qk_layernorm', false)
    const names = { q: 'q_layernorm', k: 'k_layernorm' }
    d.embed('model.embed_tokens')
    for (const layer of d.layers('model.layers')) {
      const x = d.norm(`${layer.path}.input_layernorm`)
      const norms = { ...names, norm: 'layer', bias: true } as const
      const qkNorm = normed ? headNorms(d, layer, norms) : undefined
      d.add(attention(d, layer, x, { out: 'dense', qkNorm }))
      d.add(plainMlp(d, layer, x, { up: { fc1: c.intermediateSize }, down: 'fc2' }))
    }
    d.finish(d.norm('model.final_layernorm'), { bias: true })
  },
}
