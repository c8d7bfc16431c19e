import { attention, groupedQkv, plainMlp } from './blocks.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'

/** Layer norms, partial rotation, q, k and v of each head together; mostly all side by side. */
export const gptNeox: ModelFamily = {
  title: 'GPT-NeoX, Pythia',
  architectures: ['GPTNeoXForCausalLM'],
  names: {
    ...{ rms_norm_eps: 'layer_norm_eps', num_key_value_heads: null, head_dim: null },
    ...{ mlp_bias: null },
    rope_theta: ['rotary_emb_base', 'rope_theta'],
    partial_rotary_factor: ['rotary_pct', 'partial_rotary_factor'],
  },
  defaults: {
    ...{ hidden_act: 'gelu', rms_norm_eps: 1e-5, partial_rotary_factor: 0.25 },
    ...{ attention_bias: true, mlp_bias: true },
  },
  record: (g, c) => {
    const d = new Decoder(g, c, { norm: 'layer', bias: true })
    const parallel = c.options.flag('use_parallel_residual', true)
    const modules = { name: 'attention', out: 'dense', qkv: groupedQkv(d, 'query_key_value') }
    d.embed('gpt_neox.embed_in')
    for (const layer of d.layers('gpt_neox.layers')) {
      const { path } = layer
      const attended = attention(d, layer, d.norm(`${path}.input_layernorm`), modules)
      if (!parallel) d.add(attended)
      const x = d.norm(`${path}.post_attention_layernorm`)
      if (parallel) d.add(attended)
      const up = { dense_h_to_4h: c.intermediateSize }
      d.add(plainMlp(d, layer, x, { up, down: 'dense_4h_to_h' }))
    }
    d.finish(d.norm('gpt_neox.final_layer_norm'), { name: 'embed_out' })
  },
}
