import { buildPlan, readModelConfig } from '../../lib/models/registry.js'
import { loadAddon } from '../../lib/native/addon.js'
import { StepPacker } from '../../lib/native/step-packer.js'
import { printPlan } from '../../lib/plan/text.js'
import { SequenceGroup } from '../../lib/scheduling/sequence.js'
import { resolveSamplingParams } from '../../lib/engine/check-sampling.js'
import { Random } from '../paper/workload/random.js'

const VOCABULARY = 96

/** SmolLM2's attention, nine query heads over three of 64 numbers, with next to nothing around it. */
const model = readModelConfig({
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: VOCABULARY,
  hidden_size: 32,
  intermediate_size: 32,
  num_hidden_layers: 8,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  head_dim: 64,
  max_position_embeddings: 4096,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: 'silu',
  tie_word_embeddings: false,
  torch_dtype: 'float32',
  bos_token_id: 0,
  eos_token_id: 1,
})
const plan = buildPlan(model, { weightType: 'float32', cacheType: 'float16' })
const params = resolveSamplingParams(
  {},
  {
    ...{ vocabSize: VOCABULARY, maxLogprobs: 0, maxNumSeqs: 1, hasTokenizer: false },
    defaultMaxTokens: 1,
  },
)

/** Times steps in which each of `batch` sequences computes one token after `context` others. */
export class DecodeStep {
  readonly #native
  readonly #packed
  #resolve: (seconds: number) => void = () => undefined

  private constructor(batch: number, context: number, blockSize: number) {
    const blocksEach = Math.ceil(context / blockSize)
    const numBlocks = 1 + batch * blocksEach
    const addon = loadAddon()
    this.#native = new addon.Engine({
      ...{ device: 'cpu', threads: 0, isa: '', blockSize, numBlocks, hostBlocks: 0 },
      ...{ sharedMasks: null, sharedMaskRows: 0 },
      onResult: (_, floats) => this.#resolve(floats[0]!),
      onDead: (message) => {
        throw new Error(message)
      },
    })
    const packer = new StepPacker({
      ...{ groups: 1, vocabSize: VOCABULARY, processedLogprobs: false },
      rulesOf: () => ({ logprobs: -1, mask: null, sharedMasks: null, biases: () => null }),
    })
    const ids = shuffled(numBlocks - 1)
    const sequences = Array.from({ length: batch }, (_, i) => {
      const group = new SequenceGroup({
        ...{ requestId: `r${i}`, params, seedLow: 0, seedHigh: 0 },
        promptTokenIds: new Int32Array(context),
      })
      const sequence = group.sequences[0]!
      sequence.blockTables.push(ids.subarray(i * blocksEach, (i + 1) * blocksEach))
      sequence.blockCounts.push(blocksEach)
      const start = context - 1
      return {
        sequence,
        start,
        count: 1,
        scoreStart: 0,
        scoreCount: 0,
        draws: 1,
        drafts: 0,
        pools: 0,
      }
    })
    const { ints, floats } = packer.pack({
      ...{ id: 1, sequences, tokenCount: batch, sampleCount: batch },
      ...{ copiesBefore: [], copiesAfter: [], adapterLoads: [] },
    })
    this.#packed = [ints.slice(), floats.slice()] as const
  }

  static async load(batch: number, context: number, blockSize: number): Promise<DecodeStep> {
    const step = new DecodeStep(batch, context, blockSize)
    const limits = { tokens: batch, sequences: batch, samples: batch }
    await step.#native.load(printPlan(plan, limits), { seed: 1 })
    return step
  }

  /** Seconds that the engine thread computed. */
  run(): Promise<number> {
    return new Promise((resolve) => {
      this.#resolve = resolve
      this.#native.submit(...this.#packed)
    })
  }

  close(): Promise<void> {
    return this.#native.dispose()
  }
}

/** Block ids 1 … count in no order. */
function shuffled(count: number): Int32Array {
  const random = new Random(3)
  const ids = Int32Array.from({ length: count }, (_, i) => i + 1)
  for (let i = count - 1; i > 0; i--) {
    const j = random.below(i + 1)
    ;[ids[i], ids[j]] = [ids[j]!, ids[i]!]
  }
  return ids
}
