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

/** Tokens that wait at most until they become text, so that an output's end is no long work. */
const MOST_WAITING = 32

/**
 * Turns the tokens of one sequence into its output: text, endings, log-probabilities, deltas. Tokens
 * become text when somebody reads it, some at a time, unless a stop string may end the output.
 */
export class OutputBuilder {
  readonly #completion: CompletionOutput
  readonly #options: OutputBuilderOptions
  /** Tokens that are text. */
  #writtenTokens = 0
  /** Tokens at the end that are no part of the text: 1 behind a stop token. */
  #hiddenTokens = 0
  /** Text since the last delta. */
  #newText = ''
  /** Tokens that deltas gave. */
  #givenTokens = 0
  #endingGiven = false

  constructor(options: OutputBuilderOptions) {
    this.#options = options
    this.#completion = {
      index: options.index,
      text: '',
      tokenIds: [],
      cumulativeLogprob: null,
      finishReason: null,
      stopReason: null,
    }
    if (options.params.logprobs !== null) this.#completion.logprobs = []
  }

  /** The output so far. */
  get completion(): CompletionOutput {
    this.#write()
    return this.#completion
  }

  get finished(): boolean {
    return this.#completion.finishReason !== null
  }

  /**
   * Adds a token with its log-probability, NaN where none is known; `readLogprobs` is called if those
   * of other tokens were asked for. Gives the ending that the token brings, if it does.
   */
  push(tokenId: number, logprob: number, readLogprobs: () => TokenLogprobs): Ending | null {
    const completion = this.#completion
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
    if (this.finished) return
    const { detokenizer, stopMatcher } = this.#options
    const stoppedByText = typeof stopReason === 'string'
    if (!stoppedByText) {
      this.#write()
      const rest = detokenizer?.flush() ?? ''
      this.#append(stopMatcher ? stopMatcher.push(rest).text + stopMatcher.flush() : rest)
    }
    this.#completion.finishReason = finishReason
    this.#completion.stopReason = stopReason
  }

  /** What is new since the last call; null if nothing is. */
  takeDelta(): OutputDelta | null {
    const { tokenIds, logprobs, finishReason, stopReason, index } = this.#completion
    const ending = finishReason !== null && !this.#endingGiven
    if (tokenIds.length === this.#givenTokens && !ending) return null
    this.#write()
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
    const { params, eosTokenIds, maxTokens, stopMatcher } = this.#options
    const count = this.#completion.tokenIds.length
    if (count >= params.minTokens) {
      if (!params.ignoreEos && eosTokenIds.includes(tokenId)) return this.#stopToken(null)
      if (params.stopTokenIds.includes(tokenId)) return this.#stopToken(tokenId)
    }
    if (stopMatcher !== null || count - this.#writtenTokens >= MOST_WAITING) {
      const stop = this.#write()
      if (stop !== null) return { finishReason: 'stop', stopReason: stop }
    }
    return count >= maxTokens ? { finishReason: 'length', stopReason: null } : null
  }

  /** A stop token is no part of the text unless it was asked for. */
  #stopToken(stopReason: number | null): Ending {
    this.#hiddenTokens = this.#options.params.includeStopStrInOutput ? 0 : 1
    return { finishReason: 'stop', stopReason }
  }

  /** Makes text of the tokens that wait; gives the stop string that they complete. */
  #write(): string | null {
    const { tokenIds } = this.#completion
    const end = tokenIds.length - this.#hiddenTokens
    let stop: string | null = null
    while (stop === null && this.#writtenTokens < end)
      stop = this.#addText(tokenIds[this.#writtenTokens++]!)
    return stop
  }

  /** Appends the token's text as far as it is safe to show; gives the stop string that it completed. */
  #addText(tokenId: number): string | null {
    const { detokenizer, stopMatcher } = this.#options
    const piece = detokenizer?.push(tokenId) ?? ''
    if (stopMatcher === null) {
      this.#append(piece)
      return null
    }
    const mayStop = this.#writtenTokens > this.#options.params.minTokens
    const { text, stop } = stopMatcher.push(piece, mayStop)
    this.#append(text)
    return stop
  }

  #append(text: string): void {
    this.#completion.text += text
    this.#newText += text
  }
}
