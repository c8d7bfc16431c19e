/** A graphics processor: memory bandwidth in bytes/s and peak float16 operations/s. */
export interface Gpu {
  readonly bandwidth: number
  readonly flops: number
}

/** A served model on its machine, as in Table 1 of the paper. */
export interface ServedModel {
  readonly name: string
  readonly parameters: number
  /** Bytes of keys and values of one token, over all layers. */
  readonly kvBytesPerToken: number
  readonly layers: number
  readonly hiddenSize: number
  readonly gpu: Gpu
  /** GPUs that share each layer's work. */
  readonly gpus: number
  /** Blocks of 16 tokens in the pool of keys and values. */
  readonly blocks: number
}

const a100With40GB: Gpu = { bandwidth: 1.555e12, flops: 312e12 }
const a100With80GB: Gpu = { bandwidth: 2.039e12, flops: 312e12 }

/** LLaMA-13B, of the translation experiment, has the shape of OPT-13B. */
export const models = {
  'OPT-13B': {
    name: 'OPT-13B',
    parameters: 12.85e9,
    kvBytesPerToken: 819_200,
    layers: 40,
    hiddenSize: 5120,
    gpu: a100With40GB,
    gpus: 1,
    blocks: 983,
  },
  'OPT-66B': {
    name: 'OPT-66B',
    parameters: 65.7e9,
    kvBytesPerToken: 2_359_296,
    layers: 64,
    hiddenSize: 9216,
    gpu: a100With40GB,
    gpus: 4,
    blocks: 606,
  },
  'OPT-175B': {
    name: 'OPT-175B',
    parameters: 174.6e9,
    kvBytesPerToken: 4_718_592,
    layers: 96,
    hiddenSize: 12_288,
    gpu: a100With80GB,
    gpus: 8,
    blocks: 3756,
  },
} satisfies Readonly<Record<string, ServedModel>>

export type ModelName = keyof typeof models
