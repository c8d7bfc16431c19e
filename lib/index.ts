/** Octavo: large language models inside Node.js. The public names; no code. */
export { LLMEngine } from './engine/llm-engine.js'
export type { CallOptions, ChatOptions } from './engine/call-options.js'
export { runBatch } from './openai/batch.js'
export type { BatchEngine, BatchOptions } from './openai/batch.js'
export type { BatchEndpoint } from './openai/batch-request.js'
export type { BatchProgress } from './openai/batch-progress.js'
export type { EmbeddingOutput, EmbedOptions } from './engine/embedding.js'
export type { EngineConfig, EngineOptions, LoadOptions } from './engine/config.js'
export type { LoraConfig } from './engine/lora-config.js'
export type { LoraRequest } from './engine/lora-request.js'
export type { Loras } from './engine/loras.js'
export type { SpeculativeConfig, SpeculativeOptions } from './engine/speculative-config.js'
export type { LoadProgress } from './engine/loading.js'
export type {
  CompletionOutput,
  Logprob,
  OutputDelta,
  ReplyParts,
  RequestMetrics,
  RequestOutput,
  TokenLogprobs,
} from './engine/outputs.js'
export type { OutputStream } from './engine/calls.js'
export type { EngineText } from './engine/engine-text.js'
export type { EngineObserver, RequestRecord, StepRecord } from './engine/observer.js'
export type { PinnedPrefix } from './engine/pinned-prefix.js'
export type { EmbedsPrompt, Prompt, TextPrompt, TokensPrompt } from './engine/prompt.js'
export type { EmbedsInput } from './engine/prompt-embeds.js'
export type { EngineSnapshot, RequestView, SnapshotOptions } from './engine/snapshot.js'
export type { EngineStats } from './engine/stats.js'
export { EngineError } from './errors.js'
export type { EngineErrorCode } from './errors.js'
export type { StructuredOutputs } from './structured/spec.js'
export type { SamplingOptions } from './sampling-params.js'
export type { BlockMap } from './scheduling/block-map.js'
export type { FinishReason, Pooling } from './scheduling/sequence.js'
export type { ChatTurn, TextPart } from './text/chat-turns.js'
export type { ToolCallTurn } from './text/tool-call-turn.js'
