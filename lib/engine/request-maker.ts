import { PromptTooLongError } from '../errors.js'
import type { DrawRules } from '../native/draw-rules.js'
import type { SamplingParams } from '../sampling-params.js'
import type { BeamSearch } from '../scheduling/beam-search.js'
import { SequenceGroup, type EmbeddedRows } from '../scheduling/sequence.js'
import type { RequestMasks } from '../structured/structured-masks.js'
import type { LoadableAdapter } from '../weights/loadable-adapter.js'
import { BadWords } from '../text/bad-words.js'
import { Detokenizer } from '../text/detokenizer.js'
import { StopMatcher } from '../text/stop-strings.js'
import { makeBeamSearch } from './beam-params.js'
import { makeDrawRules, type BannedNext } from './draw-rules.js'
import type { PooledPrompt } from './embedding.js'
import type { IntakeOptions } from './intake.js'
import { readLogprobs, readPath } from './logprobs.js'
import { OutputBuilder } from './output-builder.js'
import { checkTokenIds, type ParsedPrompt } from './prompt.js'
import { Request, type RequestListener } from './request.js'
import { SeedSource } from './seed.js'

/** What stands for the token of a row: no model has such an id. */
const NO_TOKEN = 2 ** 31 - 1

/** A prompt whose tokens are known. */
export interface Arrived {
  readonly requestId: string
  readonly prompt: ParsedPrompt
  readonly ids: ArrayLike<number>
  readonly adapter: LoadableAdapter | null
  readonly listener: RequestListener
}

/** Makes requests of checked prompts and options: their sequence group, and what reads its outputs. */
export class RequestMaker {
  readonly #options: IntakeOptions
  readonly #seeds: SeedSource

  constructor(options: IntakeOptions) {
    this.#options = options
    this.#seeds = new SeedSource(options.config.seed)
  }

  /** Throws RangeError where it is too long, or can never fit. */
  request(
    { requestId, prompt, ids, adapter, listener }: Arrived,
    params: SamplingParams,
    masks: RequestMasks | null,
  ): Request {
    const { eosTokenIds, vocabSize, tokenizer } = this.#options
    const textOf = (id: number) => tokenizer?.tokenText(id) ?? ''
    const promptTokenIds = Int32Array.from(ids)
    checkTokenIds(promptTokenIds, vocabSize) // a tokenizer may know tokens that the model has not
    const { embeds } = prompt
    if (embeds !== null && params.promptLogprobs !== null)
      throw new RangeError('promptLogprobs: expected none beside promptEmbeds, which are no tokens')
    const tokens = behindRows(embeds, promptTokenIds)
    const maxTokens = this.#checkLength(tokens.length, params)
    const beams = makeBeamSearch(params, { maxTokens, eosTokenIds, vocabSize })
    const [seedLow, seedHigh] = this.#seeds.next(params.seed)
    const group = new SequenceGroup({
      requestId,
      promptTokenIds: tokens,
      ...{ params, seedLow, seedHigh, embeds, beams },
      arrivalTime: Date.now(),
      cacheKey: prompt.cacheSalt ?? '',
      adapter,
      maxLength: tokens.length + maxTokens,
    })
    const builders = Array.from(
      { length: beams === null ? params.bestOf : params.n },
      (_, index) =>
        new OutputBuilder({
          ...{ requestId, index, params, maxTokens, eosTokenIds },
          ...this.#textOf(params, promptTokenIds),
        }),
    )
    return new Request({
      group,
      rules: this.#rulesOf(params, beams, masks),
      prompt: prompt.text,
      promptTokenIds,
      builders,
      readLogprobs: (result, row) => readLogprobs(result, row, textOf),
      readPath: (path) => readPath(path, params.logprobs ?? 0, textOf),
      masks,
      pooled: null,
      listener,
    })
  }

  /** A request that draws nothing: it ends when its prompt is computed. */
  embedding(
    { requestId, prompt, ids, adapter, listener }: Arrived,
    pooled: PooledPrompt,
    params: SamplingParams,
  ): Request {
    const { eosTokenIds, vocabSize } = this.#options
    const { embeds } = prompt
    const promptTokenIds = Int32Array.from(ids)
    checkTokenIds(promptTokenIds, vocabSize)
    const tokens = behindRows(embeds, promptTokenIds)
    this.#checkEmbeddable(tokens.length)
    const group = new SequenceGroup({
      ...{ requestId, promptTokenIds: tokens, params, seedLow: 0, seedHigh: 0, embeds },
      arrivalTime: Date.now(),
      cacheKey: prompt.cacheSalt ?? '',
      adapter,
      maxLength: tokens.length + 1,
      pooling: pooled.pooling,
    })
    const none = { maxTokens: 0, eosTokenIds, detokenizer: null, stopMatcher: null }
    const rules = this.#rulesOf(params, null, null)
    return new Request({
      group,
      rules: { ...rules, pooledSoFar: () => pooled.sum },
      prompt: prompt.text,
      promptTokenIds,
      builders: [new OutputBuilder({ requestId, index: 0, params, ...none })],
      readLogprobs: () => new Map(),
      readPath: () => new Map(),
      masks: null,
      pooled,
      listener,
    })
  }

  #checkEmbeddable(length: number): void {
    const { maxModelLen, scheduler } = this.#options
    if (length === 0) throw new RangeError('prompt: expected at least one token, found none')
    if (length > maxModelLen)
      throw new PromptTooLongError(
        `prompt: expected at most maxModelLen tokens, which is ${maxModelLen}, found ${length}`,
      )
    if (!scheduler.canEverFit(length, 1, 1))
      throw new RangeError(`prompt: ${length} tokens can never fit in the block pool`)
  }

  /** What turns the tokens of one output into text and finds its end there. */
  #textOf({ stop, includeStopStrInOutput, skipSpecialTokens }: SamplingParams, prompt: Int32Array) {
    const pieces = this.#options.tokenizer?.pieces
    return {
      detokenizer: pieces
        ? new Detokenizer(pieces, { skipSpecialTokens, promptTokenIds: prompt })
        : null,
      stopMatcher:
        stop.length > 0 ? new StopMatcher(stop, { includeStop: includeStopStrInOutput }) : null,
    }
  }

  #rulesOf(
    params: SamplingParams,
    beams: BeamSearch | null,
    sharedMasks: RequestMasks | null,
  ): DrawRules {
    const { eosTokenIds, vocabSize, tokenizer } = this.#options
    // Without a tokenizer there are none.
    const badWords = params.badWords.length > 0 ? new BadWords(params.badWords, tokenizer!) : null
    const bannedNext: BannedNext | null =
      badWords &&
      (({ tokens, promptLength, length }, drafts) =>
        badWords.banned(tokens, promptLength, length + drafts))
    return makeDrawRules({
      ...{ params, eosTokenIds, vocabSize, bannedNext, sharedMasks },
      rowSize: beams?.rowSize ?? 0,
    })
  }

  /** The tokens that may be drawn after a prompt of this length. */
  #checkLength(promptLength: number, params: SamplingParams): number {
    const { maxModelLen, scheduler } = this.#options
    if (promptLength === 0) throw new RangeError('prompt: expected at least one token, found none')
    if (promptLength >= maxModelLen) {
      throw new PromptTooLongError(
        `prompt: expected at most ${maxModelLen - 1} tokens (maxModelLen ${maxModelLen} less one to draw), found ${promptLength}`,
      )
    }
    const maxTokens = Math.min(params.maxTokens ?? Infinity, maxModelLen - promptLength)
    if (!scheduler.canEverFit(promptLength, maxTokens, params.bestOf)) {
      throw new RangeError(
        `prompt: ${promptLength} tokens, ${params.bestOf} output(s) of up to ${maxTokens} can never fit in the block pool`,
      )
    }
    return maxTokens
  }
}

/** A prompt as its sequences have it: what stands for its rows, then its token ids. */
function behindRows(embeds: EmbeddedRows | null, tokenIds: Int32Array): Int32Array {
  if (embeds === null) return tokenIds
  const all = new Int32Array(embeds.rows + tokenIds.length).fill(NO_TOKEN, 0, embeds.rows)
  all.set(tokenIds, embeds.rows)
  return all
}
