import type { Value } from '../plan/ops.js'
import type { ModelConfig } from './config.js'
import type { Decoder, Layer } from './decoder.js'
import { experts, hasSeparateExperts, separateExperts, type ExpertTensors } from './experts.js'
import type { ModelFamily } from './family.js'
import { recordGranite } from './granite.js'

/** A Granite whose feed-forward layers are mixtures of experts. */
export const graniteMoe: ModelFamily = {
  title: 'Granite MoE',
  architectures: ['GraniteMoeForCausalLM'],
  defaults: { num_local_experts: 8, num_experts_per_tok: 2 },
  record: (g, c) => {
    recordGranite(g, c, graniteExperts)
  },
}

/** The mixture of experts of a layer. */
export function graniteExperts(d: Decoder, layer: Layer, x: Value): Value {
  const { c } = d
  const count = c.options.integer('num_local_experts', { min: 1 })
  return experts(d, layer, x, {
    name: 'block_sparse_moe',
    router: 'router.layer',
    count,
    inner: c.intermediateSize,
    routing: { topK: c.options.integer('num_experts_per_tok', { min: 1 }), renormalise: true },
    tensors: hasSeparateExperts(d)
      ? separateExperts(d, c.intermediateSize)
      : (module, expert) => stackedExpert(c, count, module, expert),
  })
}

/** One of the experts that are stacked, the rows of the gate before those of the up projection. */
function stackedExpert(
  { hiddenSize: hidden, intermediateSize: inner }: ModelConfig,
  count: number,
  module: string,
  matrix: number,
): ExpertTensors {
  return {
    up: {
      [`${module}.input_linear.weight`]: {
        rows: 2 * inner,
        matrix,
        shape: [count, 2 * inner, hidden],
      },
    },
    down: {
      [`${module}.output_linear.weight`]: { rows: hidden, matrix, shape: [count, hidden, inner] },
    },
  }
}
