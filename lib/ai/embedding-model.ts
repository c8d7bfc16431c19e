import type {
  EmbeddingModelV3,
  EmbeddingModelV3CallOptions,
  EmbeddingModelV3Result,
} from '@ai-sdk/provider'
import type { CallOptions } from '../engine/call-options.js'
import type { EmbedOptions } from '../engine/embedding.js'
import type { LLMEngine } from '../engine/llm-engine.js'

/** An engine as an embedding model of the AI SDK. `providerOptions: { octavo: … }` takes EmbedOptions. */
export class OctavoEmbeddingModel implements EmbeddingModelV3 {
  readonly specificationVersion = 'v3'
  readonly provider = 'octavo'
  readonly modelId: string
  /** The engine batches by itself, whatever comes. */
  readonly maxEmbeddingsPerCall = Infinity
  readonly supportsParallelCalls = true
  readonly #engine: LLMEngine
  readonly #call: CallOptions

  constructor(engine: LLMEngine, modelId: string, call: CallOptions) {
    this.#engine = engine
    this.#call = call
    this.modelId = modelId
  }

  async doEmbed({
    values,
    abortSignal,
    providerOptions,
  }: EmbeddingModelV3CallOptions): Promise<EmbeddingModelV3Result> {
    const options: EmbedOptions = {
      ...this.#call,
      ...providerOptions?.octavo,
      ...(abortSignal && { signal: abortSignal }),
    }
    const outputs = await this.#engine.embed(values, options)
    const tokens = outputs.reduce((sum, { promptTokenIds }) => sum + promptTokenIds.length, 0)
    return {
      embeddings: outputs.map(({ embedding }) => [...embedding]),
      usage: { tokens },
      warnings: [],
    }
  }
}
