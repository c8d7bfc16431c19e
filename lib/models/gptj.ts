import { attention, plainMlp } from './blocks.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'

/** Attention without biases and feed-forward layer side by side, neighbouring rotary pairs. */
export const gptj: ModelFamily = {
  title: 'GPT-J',
  architectures: ['GPTJForCausalLM'],
  names: {
    ...{ hidden_size: 'n_embd', num_hidden_layers: 'n_layer', num_attention_heads: 'n_head' },
    ...{ max_position_embeddings: 'n_positions', intermediate_size: 'n_inner' },
    ...{ hidden_act: 'activation_function', rms_norm_eps: 'layer_norm_epsilon' },
    ...{ num_key_value_heads: null, head_dim: null, attention_bias: null, mlp_bias: null },
  },
  defaults: { hidden_act: 'gelu_new', rms_norm_eps: 1e-5, rotary_dim: 64, mlp_bias: true },
  record: (g, c) => {
    const d = new Decoder(g, c, { norm: 'layer', bias: true })
    const rope = d.rope({ interleaved: true })
    d.embed('transformer.wte')
    for (const layer of d.layers('transformer.h')) {
      const x = d.norm(`${layer.path}.ln_1`)
      d.add(attention(d, layer, x, { name: 'attn', out: 'out_proj', rope }))
      d.add(plainMlp(d, layer, x, { up: { fc_in: c.intermediateSize }, down: 'fc_out' }))
    }
    d.finish(d.norm('transformer.ln_f'), { bias: true })
  },
}
