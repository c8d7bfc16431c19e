import { attention, gatedMlp } from './blocks.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'

/** A Llama with tensors by other names. */
export const exaone: ModelFamily = {
  title: 'EXAONE 3 and 3.5',
  architectures: ['ExaoneForCausalLM'],
  names: {
    num_hidden_layers: ['num_layers', 'num_hidden_layers'],
    rms_norm_eps: ['layer_norm_epsilon', 'rms_norm_eps'],
    hidden_act: ['activation_function', 'hidden_act'],
    ...{ attention_bias: null, mlp_bias: null },
  },
  defaults: { rms_norm_eps: 1e-5, rope_theta: 5e5 },
  record: (g, c) => {
    const d = new Decoder(g, c)
    const up = { c_fc_0: c.intermediateSize, c_fc_1: c.intermediateSize }
    d.embed('transformer.wte')
    for (const layer of d.layers('transformer.h')) {
      const x = d.norm(`${layer.path}.ln_1`)
      d.add(attention(d, layer, x, { name: 'attn.attention', out: 'out_proj' }))
      d.add(gatedMlp(d, layer, d.norm(`${layer.path}.ln_2`), { up, down: 'c_proj' }))
    }
    d.finish(d.norm('transformer.ln_f'))
  },
}
