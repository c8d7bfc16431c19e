import type { QkNorm } from '../plan/ops.js'
import { headNorms } from './blocks.js'
import type { Decoder, Layer } from './decoder.js'
import type { ModelFamily } from './family.js'
import { recordLlama } from './llama.js'

/** A Llama that normalises each head of q and k once it is rotated. */
export const hunyuanDense: ModelFamily = {
  title: 'Hunyuan (dense)',
  architectures: ['HunYuanDenseV1ForCausalLM'],
  defaults: { rms_norm_eps: 1e-5 },
  record: (g, c) =>
    recordLlama(g, c, {
      attention: (d, layer) => ({ qkNorm: normedAfterRope(d, layer) }),
    }),
}

/** Norms of each head of q and k once it is rotated. */
export function normedAfterRope(d: Decoder, layer: Layer): QkNorm {
  return headNorms(d, layer, { q: 'query_layernorm', k: 'key_layernorm', afterRope: true })
}
