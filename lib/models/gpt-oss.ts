import type { ModelConfig } from './config.js'
import { experts, hasSeparateExperts, separateExperts, type ExpertTensors } from './experts.js'
import type { ModelFamily } from './family.js'
import { recordLlama } from './llama.js'
import { refuse } from './refuse.js'

/** Mixtures of experts with biases, attention sinks, and a window in every other layer. */
export const gptOss: ModelFamily = {
  title: 'GPT-OSS',
  architectures: ['GptOssForCausalLM'],
  defaults: {
    ...{ num_local_experts: 128, num_experts_per_tok: 4, sliding_window: 128, head_dim: 64 },
    ...{ attention_bias: true, rms_norm_eps: 1e-5, swiglu_limit: 7, swiglu_alpha: 1.702 },
  },
  record: (g, c) => {
    const count = c.options.integer('num_local_experts', { min: 1 })
    refuse(c, 'swiglu_limit', 7)
    refuse(c, 'swiglu_alpha', 1.702)
    recordLlama(g, c, {
      isWindowed: (layer) => layer % 2 === 0,
      attention: (_, layer) => ({
        sinks: g.vector({ [`${layer.path}.self_attn.sinks`]: c.heads }),
      }),
      feedForward: (d, layer, x) =>
        experts(d, layer, x, {
          router: 'router',
          routerBias: true,
          count,
          inner: c.intermediateSize,
          routing: {
            topK: c.options.integer('num_experts_per_tok', { min: 1 }),
            renormalise: true,
          },
          activation: 'clampedSwiglu',
          tensors: hasSeparateExperts(d)
            ? separateExperts(d, c.intermediateSize, undefined, { bias: true })
            : (module, expert) => stackedExpert(c, count, module, expert),
        }),
    })
  },
}

/** Rows in MXFP4 are those of linear layers; all other checkpoints store columns. */
function isByRows({ options }: ModelConfig): boolean {
  const name = 'quantization_config'
  return options.has(name) && options.object(name).text('quant_method', '') === 'mxfp4'
}

/** One of the experts that are stacked, gate and up projection in turn. */
function stackedExpert(
  c: ModelConfig,
  count: number,
  module: string,
  matrix: number,
): ExpertTensors {
  const { hiddenSize: hidden, intermediateSize: inner } = c
  const tensor = (name: string) => `${module}.experts.${name}`
  const matrices = (rows: number, columns: number) =>
    isByRows(c)
      ? { shape: [count, rows, columns] }
      : { shape: [count, columns, rows], transposed: true }
  const turns = [
    [2, 1],
    [inner, 2],
  ] as const
  const up = { rows: 2 * inner, matrix, order: turns }
  return {
    up: { [tensor('gate_up_proj')]: { ...up, ...matrices(2 * inner, hidden) } },
    upBias: { [tensor('gate_up_proj_bias')]: { ...up, shape: [count, 2 * inner] } },
    down: { [tensor('down_proj')]: { rows: hidden, matrix, ...matrices(hidden, inner) } },
    downBias: { [tensor('down_proj_bias')]: { rows: hidden, matrix, shape: [count, hidden] } },
  }
}
