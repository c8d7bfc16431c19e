import { attention, plainMlp } from './blocks.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'

/** Layer norms, GELU without a gate, and one flag for all biases. */
export const starcoder2: ModelFamily = {
  title: 'StarCoder2',
  architectures: ['Starcoder2ForCausalLM'],
  names: { rms_norm_eps: 'norm_epsilon', attention_bias: 'use_bias', mlp_bias: 'use_bias' },
  defaults: {
    ...{ hidden_act: 'gelu_pytorch_tanh', rms_norm_eps: 1e-5, tie_word_embeddings: true },
    ...{ attention_bias: true, mlp_bias: true, num_key_value_heads: 2 },
  },
  record: (g, c) => {
    const d = new Decoder(g, c, { norm: 'layer', bias: true })
    const up = { c_fc: c.intermediateSize }
    d.embed('model.embed_tokens')
    for (const layer of d.layers('model.layers')) {
      d.add(attention(d, layer, d.norm(`${layer.path}.input_layernorm`)))
      const x = d.norm(`${layer.path}.post_attention_layernorm`)
      d.add(plainMlp(d, layer, x, { up, down: 'c_proj' }))
    }
    d.finish(d.norm('model.norm'))
  },
}
