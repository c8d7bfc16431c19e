import type { Value } from '../plan/ops.js'
import { gatedMlp } from './blocks.js'
import type { Decoder, Layer } from './decoder.js'
import type { ModelFamily } from './family.js'
import { graniteExperts } from './granite-moe.js'
import { recordGranite } from './granite.js'
import { layerTypes } from './layer-types.js'

/** A Granite with a feed-forward layer that every token passes, maybe beside experts; no state space layers. */
export const graniteHybrid: ModelFamily = {
  title: 'Granite 4 (layers of attention)',
  architectures: ['GraniteMoeHybridForCausalLM', 'GraniteMoeSharedForCausalLM'],
  names: { layer_types: null, layers_block_type: ['layers_block_type', 'layer_types'] },
  defaults: { num_local_experts: 8, num_experts_per_tok: 2, shared_intermediate_size: 1024 },
  record: (g, c) => {
    const { options, layers } = c
    const hybrid = c.architecture === 'GraniteMoeHybridForCausalLM'
    if (hybrid) layerTypes(options, layers, ['attention', 'full_attention'], 'layers_block_type')
    const turns = !hybrid || options.text('position_embedding_type', '') === 'rope'
    recordGranite(g, c, feedForward, { turns })
  },
}

function feedForward(d: Decoder, layer: Layer, x: Value): Value {
  const { options } = d.c
  const inner = options.integer('shared_intermediate_size', { min: 0 })
  const mixed = options.integer('num_local_experts', { min: 0 }) > 0
  if (inner === 0) return graniteExperts(d, layer, x)
  const up = { input_linear: 2 * inner }
  const shared = gatedMlp(d, layer, x, { name: 'shared_mlp', up, down: 'output_linear' })
  return mixed ? d.g.add(`${layer.path}.mlp`, graniteExperts(d, layer, x), shared) : shared
}
