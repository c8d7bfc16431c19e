import { interleavedSlopes } from './alibi.js'
import { attention, headNorms, plainMlp } from './blocks.js'
import { Decoder } from './decoder.js'
import { Fields } from './fields.js'
import type { ModelFamily } from './family.js'
import { refuse } from './refuse.js'

/** ALiBi or learned positions, layer norms, and no biases at all. */
export const mpt: ModelFamily = {
  title: 'MPT',
  architectures: ['MptForCausalLM', 'MPTForCausalLM'],
  names: {
    ...{ hidden_size: 'd_model', num_hidden_layers: 'n_layers', num_attention_heads: 'n_heads' },
    ...{ max_position_embeddings: 'max_seq_len', rms_norm_eps: 'layer_norm_epsilon' },
    ...{ intermediate_size: null, num_key_value_heads: null, head_dim: null, hidden_act: null },
    ...{ attention_bias: null, mlp_bias: null },
  },
  defaults: { hidden_act: 'gelu', rms_norm_eps: 1e-5, tie_word_embeddings: true },
  record: (g, c) => {
    refuse(c, 'no_bias', true)
    const given = c.options.has('attn_config')
    const config = given ? c.options.object('attn_config') : new Fields({}, c.options.where)
    refuse({ options: config }, 'prefix_lm', false)
    const normed = config.flag('qk_ln', false)
    // The limit would come before the norms. No model asks for both.
    if (config.has('clip_qkv')) refuse({ options: config }, 'qk_ln', false)
    const learned = !config.flag('alibi', true)
    const norms = { module: 'attn', q: 'q_ln', k: 'k_ln', norm: 'layer', over: 'all' } as const
    const d = new Decoder(g, c, { norm: 'layer' })
    const modules = {
      ...{ name: 'attn', out: 'out_proj', qkv: { Wqkv: 3 * c.hiddenSize }, rope: null },
      scale: config.positive('softmax_scale', c.headDim ** -0.5),
      clip: config.has('clip_qkv') ? config.positive('clip_qkv') : undefined,
      slopes: learned
        ? undefined
        : interleavedSlopes(c.heads, config.positive('alibi_bias_max', 8)),
    }
    d.embed('transformer.wte')
    if (learned) {
      const table = g.table({ 'transformer.wpe.weight': c.contextLength }, c.hiddenSize)
      d.add(g.embedPositions('transformer.wpe', table))
    }
    for (const layer of d.layers('transformer.blocks')) {
      const qkNorm = normed ? headNorms(d, layer, norms) : undefined
      d.add(attention(d, layer, d.norm(`${layer.path}.norm_1`), { ...modules, qkNorm }))
      d.add(plainMlp(d, layer, d.norm(`${layer.path}.norm_2`), { name: 'ffn' }))
    }
    d.finish(d.norm('transformer.norm_f'))
  },
}
