import type { EmbeddingModelV3, LanguageModelV3, ProviderV3 } from '@ai-sdk/provider'
import type { CallOptions } from '../engine/call-options.js'
import type { LLMEngine } from '../engine/llm-engine.js'
import { EngineError } from '../errors.js'
import { OctavoEmbeddingModel } from './embedding-model.js'
import { OctavoLanguageModel } from './language-model.js'

/** The AI SDK's provider of one engine: a function that gives its model, alone or with an adapter (LoRA). */
export interface OctavoProvider extends ProviderV3 {
  /** Without a name, or by the engine's own or an adapter's; throws EngineError `model_not_found` for another. */
  (modelId?: string): LanguageModelV3
  /** The same model, which embeds. */
  embeddingModel(modelId?: string): EmbeddingModelV3
}

/**
 * A provider for Vercel's AI SDK (specification v3, of ai 6 and 7) that runs the engine in this process.
 *
 * @example
 * const octavo = createOctavo(await LLMEngine.load('demo'))
 * const { text } = await generateText({ model: octavo(), prompt: 'Hi' })
 */
export function createOctavo(engine: LLMEngine): OctavoProvider {
  const callOf = (kind: string, modelId: string): CallOptions => {
    if (modelId === engine.model) return {}
    if (engine.loras.has(modelId)) return { loraRequest: { loraName: modelId } }
    throw missing(kind, modelId)
  }
  const languageModel = (modelId = engine.model): LanguageModelV3 =>
    new OctavoLanguageModel(engine, modelId, callOf('model', modelId))
  return Object.assign(languageModel, {
    specificationVersion: 'v3' as const,
    languageModel,
    embeddingModel: (modelId = engine.model): EmbeddingModelV3 =>
      new OctavoEmbeddingModel(engine, modelId, callOf('embedding model', modelId)),
    imageModel: (modelId: string): never => {
      throw missing('image model', modelId)
    },
  })
}

function missing(kind: string, modelId: string): EngineError {
  return new EngineError('model_not_found', `there is no ${kind} "${modelId}"`)
}
