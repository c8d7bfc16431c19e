import { attention, plainMlp } from './blocks.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'
import { refuse } from './refuse.js'

/** Learned positions, layer norms, biases, and matrices that are stored by columns. */
export const gpt2: ModelFamily = {
  title: 'GPT-2',
  architectures: ['GPT2LMHeadModel'],
  names: {
    ...{ hidden_size: 'n_embd', num_hidden_layers: 'n_layer', num_attention_heads: 'n_head' },
    ...{ max_position_embeddings: 'n_positions', intermediate_size: 'n_inner' },
    ...{ hidden_act: 'activation_function', rms_norm_eps: 'layer_norm_epsilon' },
    ...{ num_key_value_heads: null, head_dim: null, attention_bias: null, mlp_bias: null },
  },
  defaults: {
    ...{ hidden_act: 'gelu_new', rms_norm_eps: 1e-5, tie_word_embeddings: true },
    ...{ attention_bias: true, mlp_bias: true },
  },
  record: (g, c) => {
    refuse(c, 'add_cross_attention', false)
    const d = new Decoder(g, c, { norm: 'layer', bias: true })
    const scaled = c.options.flag('scale_attn_weights', true)
    const byLayer = c.options.flag('scale_attn_by_inverse_layer_idx', false)
    const table = g.table({ 'transformer.wpe.weight': c.contextLength }, c.hiddenSize)
    const transposed = !c.options.flag('stored_by_rows', false)
    const modules = { out: 'c_proj', transposed, rope: null, name: 'attn' }
    d.embed('transformer.wte')
    d.add(g.embedPositions('transformer.wpe', table))
    for (const layer of d.layers('transformer.h')) {
      const scale = (scaled ? c.headDim ** -0.5 : 1) / (byLayer ? layer.index + 1 : 1)
      const qkv = { c_attn: 3 * c.hiddenSize }
      d.add(attention(d, layer, d.norm(`${layer.path}.ln_1`), { ...modules, qkv, scale }))
      const up = { c_fc: c.intermediateSize }
      const x = d.norm(`${layer.path}.ln_2`)
      d.add(plainMlp(d, layer, x, { up, down: 'c_proj', transposed }))
    }
    d.finish(d.norm('transformer.ln_f'))
  },
}
