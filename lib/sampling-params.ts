import type { GrammarSpec, StructuredOutputs } from './structured/spec.js'

/**
 * How to draw a request's tokens. Names and meanings are vLLM's, in camelCase.
 *
 * @example
 * await engine.generate('Once upon a time', { maxTokens: 64, temperature: 0.8, topP: 0.95, seed: 7 })
 */
export interface SamplingOptions {
  /** Outputs to return; 1 where temperature is 0. Default 1. */
  n?: number
  /** Outputs to draw; the n with the highest cumulative log-probability are returned. Default n. */
  bestOf?: number
  /** 0: always the most likely token. Default 1. */
  temperature?: number
  /** Keep the smallest set of most likely tokens whose probability reaches this, in (0, 1]. Default 1. */
  topP?: number
  /** Keep this many of the most likely tokens; 0 or −1 keeps all. Default 0. */
  topK?: number
  /** Keep tokens with at least this share of the most likely token's probability, in [0, 1]. Default 0. */
  minP?: number
  /** Subtracted once from the logit of each token that the output holds, in [−2, 2]. Default 0. */
  presencePenalty?: number
  /** Subtracted from a token's logit for each time that the output holds it, in [−2, 2]. Default 0. */
  frequencyPenalty?: number
  /** Divides (or multiplies, below zero) the logits of tokens in the prompt or output; above 0. Default 1. */
  repetitionPenalty?: number
  /** Texts that end an output. */
  stop?: string | readonly string[]
  /** Tokens that end an output. */
  stopTokenIds?: readonly number[]
  /** Keep the stop string in the text. Default false. */
  includeStopStrInOutput?: boolean
  /** Leave special tokens out of the text. Default true. */
  skipSpecialTokens?: boolean
  /** Go on after the model's end token. Default false. */
  ignoreEos?: boolean
  /**
   * Searches for the most likely outputs instead of drawing: the continuations of this many outputs are
   * followed at once, and the n best are returned, the best first. Not with `stream`, nor with options
   * that say how to draw.
   */
  beamWidth?: number
  /** An output's score is its log-probability divided by its length to this power. Default 1. */
  lengthPenalty?: number
  /**
   * When a beam search ends after beamWidth outputs have ended. true: at once. false: when the best
   * beam's present score is no better than theirs. 'never': when no beam could become better, by the
   * longest output that lengthPenalty may favour. Default false.
   */
  earlyStopping?: boolean | 'never'
  /** The most tokens to draw. Default 16; in chat the rest of the context. */
  maxTokens?: number
  /** Draw at least this many tokens before an end token or a stop may end the output. Default 0. */
  minTokens?: number
  /** Log-probabilities of the chosen token and of this many most likely ones; −1: the whole vocabulary. */
  logprobs?: number
  /** The same for each prompt token. */
  promptLogprobs?: number
  /** Added to the logits of these token ids, in [−100, 100]. */
  logitBias?: Readonly<Record<number, number>> | ReadonlyMap<number, number>
  /** Draw only these token ids. */
  allowedTokenIds?: readonly number[]
  /** Texts that the output never holds. */
  badWords?: readonly string[]
  /** What the output must look like: a JSON Schema, a pattern, one of several texts, a grammar. */
  structuredOutputs?: StructuredOutputs
  /** Keep the last so many tokens of the prompt; −1: as many as leave room for maxTokens. Default: all. */
  truncatePromptTokens?: number
  /** Lower runs first, under the priority policy. Default 0. */
  priority?: number
  /** The same seed and prompt give the same tokens, whatever else is in the batch. −1: no seed. */
  seed?: number
}

/** Checked options with every default filled in. Frozen; shared by all sequences of a request. */
export interface SamplingParams {
  readonly n: number
  readonly bestOf: number
  readonly temperature: number
  readonly topP: number
  /** 0: no limit */
  readonly topK: number
  readonly minP: number
  readonly presencePenalty: number
  readonly frequencyPenalty: number
  readonly repetitionPenalty: number
  readonly stop: readonly string[]
  readonly stopTokenIds: readonly number[]
  readonly includeStopStrInOutput: boolean
  readonly skipSpecialTokens: boolean
  readonly ignoreEos: boolean
  /** null: tokens are drawn */
  readonly beamWidth: number | null
  readonly lengthPenalty: number
  readonly earlyStopping: boolean | 'never'
  /** null: the rest of the context */
  readonly maxTokens: number | null
  readonly minTokens: number
  /** null: none; −1 has become the vocabulary's size */
  readonly logprobs: number | null
  readonly promptLogprobs: number | null
  readonly logitBias: ReadonlyMap<number, number>
  readonly allowedTokenIds: readonly number[] | null
  readonly badWords: readonly string[]
  /** null: anything */
  readonly structuredOutputs: GrammarSpec | null
  /** null: all of the prompt; −1: what the model takes */
  readonly truncatePromptTokens: number | null
  readonly priority: number
  /** null: the engine draws one */
  readonly seed: number | null
}
