import { attention, plainMlp, separateQkv } from './blocks.js'
import { Decoder } from './decoder.js'
import type { ModelFamily } from './family.js'

/** Learned positions, narrow embeddings in one size, and layer norms, in that size after what is added. */
export const opt: ModelFamily = {
  title: 'OPT',
  architectures: ['OPTForCausalLM'],
  names: {
    ...{ intermediate_size: 'ffn_dim', hidden_act: 'activation_function', rms_norm_eps: null },
    ...{ num_key_value_heads: null, head_dim: null },
    ...{ attention_bias: 'enable_bias', mlp_bias: 'enable_bias' },
  },
  defaults: {
    ...{ hidden_act: 'relu', rms_norm_eps: 1e-5, tie_word_embeddings: true },
    ...{ attention_bias: true, mlp_bias: true },
  },
  record: (g, c) => {
    const before = c.options.flag('do_layer_norm_before', true)
    const learned = c.options.flag('layer_norm_elementwise_affine', true)
    const columns = c.options.integer('word_embed_proj_dim', { min: 1, fallback: c.hiddenSize })
    const ends = before && !c.options.flag('_remove_final_layer_norm', false)
    const root = 'model.decoder'
    const d = new Decoder(g, c, { norm: 'layer', bias: learned, gain: learned })
    const tokens = d.embed(`${root}.embed_tokens`, { columns })
    if (columns !== c.hiddenSize)
      d.replace(d.linear(`${root}.project_in`, tokens, root, { project_in: c.hiddenSize }))
    const table = g.table({ [`${root}.embed_positions.weight`]: c.contextLength + 2 }, c.hiddenSize)
    d.add(g.embedPositions(`${root}.embed_positions`, table, 2))
    const modules = { out: 'out_proj', qkv: separateQkv(d), rope: null }
    const mlp = { name: '', up: { fc1: c.intermediateSize }, down: 'fc2' }
    for (const layer of d.layers(`${root}.layers`)) {
      const norms = [`${layer.path}.self_attn_layer_norm`, `${layer.path}.final_layer_norm`]
      d.add(attention(d, layer, before ? d.norm(norms[0]!) : d.stream(), modules))
      if (!before) d.replace(d.norm(norms[0]!))
      d.add(plainMlp(d, layer, before ? d.norm(norms[1]!) : d.stream(), mlp))
      if (!before) d.replace(d.norm(norms[1]!))
    }
    const x = ends ? d.norm(`${root}.final_layer_norm`) : d.stream()
    const out = { project_out: columns }
    d.finish(columns === c.hiddenSize ? x : d.linear(`${root}.project_out`, x, root, out))
  },
}
