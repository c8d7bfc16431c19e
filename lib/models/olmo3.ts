import type { ModelFamily } from './family.js'
import { recordOlmo2 } from './olmo2.js'

/** OLMo 2 with a window in three of four layers, whose rope is not scaled. */
export const olmo3: ModelFamily = {
  title: 'OLMo 3',
  architectures: ['Olmo3ForCausalLM'],
  names: { mlp_bias: null },
  defaults: { rms_norm_eps: 1e-5, rope_theta: 5e5, sliding_window: 4096 },
  record: (g, c) => {
    const { theta, dim } = c.rope
    const shared = c.localRope === c.rope
    const local = shared ? ({ kind: 'default', theta, dim } as const) : c.localRope
    recordOlmo2(
      g,
      { ...c, localRope: local },
      {
        isWindowed: (layer) => (layer + 1) % 4 !== 0,
        rope: (d, layer) => d.rope({ local: layer.type === 'window' }),
      },
    )
  },
}
