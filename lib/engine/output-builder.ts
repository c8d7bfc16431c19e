import type { SamplingParams } from '../sampling-params.js'
import type { FinishReason } from '../scheduling/sequence.js'
import type { Detokenizer } from '../text/detokenizer.js'
import type { StopMatcher } from '../text/stop-strings.js'
import type { CompletionOutput, OutputDelta, TokenLogprobs } from './outputs.js'

/** Why a sequence ended, and on which stop string or token. */
export interface Ending {
  readonly finishReason: FinishReason
  readonly stopReason: string | number | null
}

export interface OutputBuilderOptions {
  readonly requestId: string
  readonly index: number
  readonly params: SamplingParams
  readonly eosTokenIds: readonly number[]
  /** Tokens that may be drawn: maxTokens, or the rest of the context. */
  readonly maxTokens: number
  /** null: the model has no tokenizer, and outputs no text. */
  readonly detokenizer: Detokenizer | null
  /** null: the request has no stop strings. */
  readonly stopMatcher: StopMatcher | null
}

/** Turns the tokens of one sequence into its output: text, endings, log-probabilities, deltas. */
export class OutputBuilder {
  readonly completion: CompletionOutput
  readonly #options: OutputBuilderOptions
  /** Text since the last delta. */
  #newText = ''
  /** Tokens that deltas gave. */
  #givenTokens = 0
  #endingGiven = false

  constructor(options: OutputBuilderOptions) {
    this.#options = options
    this.completion = {
      index: options.index,
      text: '',
      tokenIds: [],
      cumulativeLogprob: null,
      finishReason: null,
      stopReason: null,
    }
    if (options.params.logprobs !== null) this.completion.logprobs = []
  }

  /**
   * Adds a token with its log-probability, NaN where none is known; `readLogprobs` is called if those
   * of other tokens were asked for. Gives the ending that the token brings, if it does.
   */
  push(tokenId: number, logprob: number, readLogprobs: () => TokenLogprobs): Ending | null {
    const { completion } = this
    completion.tokenIds.push(tokenId)
    if (!Number.isNaN(logprob)) {
      completion.cumulativeLogprob = (completion.cumulativeLogprob ?? 0) + logprob
      completion.logprobs?.push(readLogprobs())
    }
    const ending = this.#endingOf(tokenId)
    if (ending !== null) this.finish(ending)
    return ending
  }

  /** Ends the output and lets go of text that was held back. */
  finish({ finishReason, stopReason }: Ending): void {
    if (this.completion.finishReason !== null) return
    const { detokenizer, stopMatcher } = this.#options
    const stoppedByText = typeof stopReason === 'string'
    if (!stoppedByText) {
      const rest = detokenizer?.flush() ?? ''
      this.#append(stopMatcher ? stopMatcher.push(rest).text + stopMatcher.flush() : rest)
    }
    this.completion.finishReason = finishReason
    this.completion.stopReason = stopReason
  }

  /** What is new since the last call; null if nothing is. */
  takeDelta(): OutputDelta | null {
    const { tokenIds, logprobs, finishReason, stopReason, index } = this.completion
    const ending = finishReason !== null && !this.#endingGiven
    if (tokenIds.length === this.#givenTokens && !ending) return null
    const delta: OutputDelta = {
      requestId: this.#options.requestId,
      index,
      text: this.#newText,
      tokenIds: tokenIds.slice(this.#givenTokens),
      finishReason,
      stopReason,
    }
    if (logprobs !== undefined) delta.logprobs = logprobs.slice(this.#givenTokens)
    this.#newText = ''
    this.#givenTokens = tokenIds.length
    this.#endingGiven = finishReason !== null
    return delta
  }

  #endingOf(tokenId: number): Ending | null {
    const { params, eosTokenIds, maxTokens } = this.#options
    const count = this.completion.tokenIds.length
    if (count >= params.minTokens) {
      if (!params.ignoreEos && eosTokenIds.includes(tokenId)) return this.#stopToken(tokenId, null)
      if (params.stopTokenIds.includes(tokenId)) return this.#stopToken(tokenId, tokenId)
    }
    const stop = this.#addText(tokenId)
    if (stop !== null) return { finishReason: 'stop', stopReason: stop }
    return count >= maxTokens ? { finishReason: 'length', stopReason: null } : null
  }

  /** A stop token is no part of the text unless it was asked for. */
  #stopToken(tokenId: number, stopReason: number | null): Ending {
    if (this.#options.params.includeStopStrInOutput) this.#addText(tokenId)
    return { finishReason: 'stop', stopReason }
  }

  /** Appends the token's text as far as it is safe to show; gives the stop string that it completed. */
  #addText(tokenId: number): string | null {
    const { detokenizer, stopMatcher } = this.#options
    const piece = detokenizer?.push(tokenId) ?? ''
    if (stopMatcher === null) {
      this.#append(piece)
      return null
    }
    const mayStop = this.completion.tokenIds.length > this.#options.params.minTokens
    const { text, stop } = stopMatcher.push(piece, mayStop)
    this.#append(text)
    return stop
  }

  #append(text: string): void {
    this.completion.text += text
    this.#newText += text
  }
}
