import type {
  EmbeddingModelV3,
  EmbeddingModelV3CallOptions,
  EmbeddingModelV3Result,
} from '@ai-sdk/provider'
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

  constructor(engine: LLMEngine) {
    this.#engine = engine
    this.modelId = engine.model
  }

  async doEmbed({
    values,
    abortSignal,
    providerOptions,
  }: EmbeddingModelV3CallOptions): Promise<EmbeddingModelV3Result> {
    const options: EmbedOptions = {
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
