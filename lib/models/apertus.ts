import { attention, headNorms, plainMlp } from './blocks.js'
import { Decoder, type Layer } from './decoder.js'
import type { ModelFamily } from './family.js'

/** Norms of q and k, and xIELU, whose parameters each layer learns. */
export const apertus: ModelFamily = {
  title: 'Apertus',
  architectures: ['ApertusForCausalLM'],
  defaults: { hidden_act: 'xielu', rms_norm_eps: 1e-5, rope_theta: 12e6 },
  record: (g, c) => {
    const d = new Decoder(g, c)
    d.embed('model.embed_tokens')
    for (const layer of d.layers('model.layers')) {
      const x = d.norm(`${layer.path}.attention_layernorm`)
      d.add(attention(d, layer, x, { qkNorm: headNorms(d, layer) }))
      const y = d.norm(`${layer.path}.feedforward_layernorm`)
      const parameters = c.activation === 'xielu' ? xielu(d, layer) : undefined
      d.add(plainMlp(d, layer, y, { parameters }))
    }
    d.finish(d.norm('model.norm'))
  },
}

function xielu({ g }: Decoder, { path }: Layer) {
  const scalar = { rows: 1, shape: [] }
  const act = `${path}.mlp.act_fn`
  return g.vector({
    ...{ [`${act}.alpha_p`]: 1, [`${act}.alpha_n`]: 1 },
    ...{ [`${act}.beta`]: scalar, [`${act}.eps`]: scalar },
  })
}
