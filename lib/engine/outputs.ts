import type { FinishReason } from '../scheduling/sequence.js'
import type { ToolCallTurn } from '../text/tool-call-turn.js'

/** The log-probability of one token at one position. */
export interface Logprob {
  /** Natural logarithm of the probability. */
  readonly logprob: number
  /** 1 for the most likely token of the vocabulary. */
  readonly rank: number
  /** The token's own text; bytes of an unfinished character show as U+FFFD. */
  readonly decodedToken: string
}

/** Log-probabilities of one position by token id: the chosen token's, then the most likely ones. */
export type TokenLogprobs = Map<number, Logprob>

/** What a chat with tools, or with a model that thinks, is taken apart into. */
export interface ReplyParts {
  text: string
  /** The model's thoughts. */
  reasoning: string
  /** Whole calls, in OpenAI's form. */
  toolCalls: ToolCallTurn[]
}

/** One generated continuation of a prompt. */
export interface CompletionOutput extends Partial<ReplyParts> {
  /** 0 … n − 1 */
  index: number
  /** Without the stop token, and without the stop string unless includeStopStrInOutput. */
  text: string
  /** With the stop token. */
  tokenIds: number[]
  /** Sum of the chosen tokens' log-probabilities; null unless logprobs or beams were asked for. */
  cumulativeLogprob: number | null
  /** Of a beam: cumulativeLogprob divided by the number of tokens to the power of lengthPenalty. */
  score?: number
  /** One map a token, if asked for. */
  logprobs?: TokenLogprobs[]
  /** null while it is running. */
  finishReason: FinishReason | null
  /** The stop string or stop token id that ended it, null for the model's end token or another reason. */
  stopReason: string | number | null
}

/** Times of a request, in milliseconds since the epoch; durations in milliseconds. */
export interface RequestMetrics {
  arrivalTime: number
  firstScheduledTime: number | null
  firstTokenTime: number | null
  finishedTime: number | null
  /** Prompt tokens whose keys and values came from the prefix cache. */
  cachedTokens: number
  /** Times the request was preempted. */
  preemptions: number
}

/** Everything a request has produced so far. */
export interface RequestOutput {
  requestId: string
  /** The prompt's text; null when it came as token ids. */
  prompt: string | null
  promptTokenIds: number[]
  /** One entry a prompt token if asked for; the first is null. */
  promptLogprobs?: (TokenLogprobs | null)[]
  outputs: CompletionOutput[]
  finished: boolean
  metrics: RequestMetrics
}

/** What one step added to one output of a request. */
export interface OutputDelta extends Partial<ReplyParts> {
  requestId: string
  index: number
  /** New text only; never half a character. */
  text: string
  /** New tokens only. */
  tokenIds: number[]
  logprobs?: TokenLogprobs[]
  finishReason: FinishReason | null
  stopReason: string | number | null
}
