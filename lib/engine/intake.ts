import { EngineError } from '../errors.js'
import type { DrawRules } from '../native/draw-rules.js'
import type { SamplingOptions, SamplingParams } from '../sampling-params.js'
import type { Scheduler } from '../scheduling/scheduler.js'
import type { BeamSearch } from '../scheduling/beam-search.js'
import { SequenceGroup, type EmbeddedRows } from '../scheduling/sequence.js'
import type { RequestMasks, StructuredMasks } from '../structured/structured-masks.js'
import { BadWords } from '../text/bad-words.js'
import type { ChatTemplate, RenderOptions } from '../text/chat-template.js'
import type { ChatTurn } from '../text/chat-turns.js'
import { Detokenizer } from '../text/detokenizer.js'
import { replyFormatOf } from '../text/reply-format.js'
import { StopMatcher } from '../text/stop-strings.js'
import { WORKER_FROM, type Tokenizer } from '../text/tokenizer.js'
import { makeBeamSearch } from './beam-params.js'
import { resolveSamplingParams } from './check-sampling.js'
import type { EngineConfig } from './config.js'
import { makeDrawRules, type BannedNext } from './draw-rules.js'
import { PooledPrompt } from './embedding.js'
import type { GenerationDefaults } from './generation-defaults.js'
import { readLogprobs, readPath } from './logprobs.js'
import { OutputBuilder } from './output-builder.js'
import { checkTokenIds, parsePrompt, type ParsedPrompt, type Prompt } from './prompt.js'
import { Request, type RequestListener } from './request.js'
import { SeedSource } from './seed.js'

/** What stands for the token of a row: no model has such an id. */
const NO_TOKEN = 2 ** 31 - 1

/** Milliseconds of tokenising after which the event loop gets a turn. */
const TURN = 4

type TokenIds = readonly number[] | Int32Array
type ChatRendering = 'tools' | 'variables' | 'addGenerationPrompt' | 'continueFinalMessage'

export interface IntakeOptions {
  readonly config: EngineConfig
  readonly vocabSize: number
  /** Columns of the table of embeddings. */
  readonly embeddingColumns: number
  /** Tokens of the longest sequence. */
  readonly maxModelLen: number
  readonly eosTokenIds: readonly number[]
  /** What sampling options are where a request has none. */
  readonly samplingDefaults: GenerationDefaults
  /** null: token ids only (skipTokenizerInit, or a model without a tokenizer). */
  readonly tokenizer: Tokenizer | null
  readonly chatTemplate: ChatTemplate | null
  /** Numbers of a hidden state; null: the plan pools none. */
  readonly embeddingSize: number | null
  readonly scheduler: Pick<Scheduler, 'canEverFit'>
  /** null: without a tokenizer. */
  readonly masks: StructuredMasks | null
}

/** Where requests come in: checks, chat templates, tokens; a caller's prompt becomes a Request. */
export class Intake {
  readonly #options: IntakeOptions
  readonly #seeds: SeedSource
  #busySince = 0

  constructor(options: IntakeOptions) {
    this.#options = options
    this.#seeds = new SeedSource(options.config.seed)
  }

  checkParams(
    options: SamplingOptions,
    { chat = false, streaming = false }: { chat?: boolean; streaming?: boolean } = {},
  ): SamplingParams {
    const { config, vocabSize, tokenizer, samplingDefaults } = this.#options
    const { maxTokens = null, ...defaults } = samplingDefaults
    const params = resolveSamplingParams(options, {
      vocabSize,
      maxLogprobs: config.maxLogprobs,
      maxNumSeqs: config.maxNumSeqs,
      hasTokenizer: tokenizer !== null,
      defaults,
      defaultMaxTokens: chat ? maxTokens : 16,
    })
    if (streaming && params.beamWidth !== null) {
      throw new RangeError(
        `beamWidth: expected none when streaming, as beams are known at their end only, found ${params.beamWidth}`,
      )
    }
    if (streaming && params.bestOf > params.n) {
      throw new RangeError(
        `bestOf: expected n, which is ${params.n}, when streaming, found ${params.bestOf}`,
      )
    }
    return params
  }

  /** Checks one set of options for all prompts, or one for each; gives the params of a prompt. */
  checkParamsList(
    options: SamplingOptions | readonly SamplingOptions[],
    count: number,
  ): (index: number) => SamplingParams {
    if (!Array.isArray(options)) {
      const params = this.checkParams(options as SamplingOptions)
      return () => params
    }
    if (options.length !== count) {
      throw new RangeError(
        `params: expected one for each of ${count} prompts, found ${options.length}`,
      )
    }
    const all = options.map((each: SamplingOptions) => this.checkParams(each))
    return (index) => all[index]!
  }

  /** Checks a prompt's shape and token ids. */
  parse(prompt: Prompt): ParsedPrompt {
    const parsed = parsePrompt(prompt)
    if (parsed.tokenIds !== null) checkTokenIds(parsed.tokenIds, this.#options.vocabSize)
    else this.#checkTokenizer()
    if (parsed.embeds !== null) this.#checkEmbeds(parsed.embeds.columns)
    return parsed
  }

  #checkEmbeds(columns: number): void {
    const { embeddingColumns } = this.#options
    if (columns === embeddingColumns) return
    throw new RangeError(
      `prompt.promptEmbeds: expected rows of ${embeddingColumns} numbers, as the model's table of embeddings has, found ${columns}`,
    )
  }

  /** Renders a chat as its prompt. */
  renderChat(
    messages: readonly ChatTurn[],
    { cacheSalt, ...given }: Pick<RenderOptions, ChatRendering> & { cacheSalt?: string } = {},
  ): ParsedPrompt {
    const { chatTemplate, config } = this.#options
    const { bosToken, eosToken } = this.tokenizer
    if (chatTemplate === null) {
      throw new EngineError('not_supported', 'the model has no chat template; use generate()')
    }
    const variables = { ...config.defaultChatTemplateKwargs, ...given.variables }
    const text = chatTemplate.render(messages, { ...given, variables, bosToken, eosToken })
    return {
      ...{ text, tokenIds: null, embeds: null },
      ...{ cacheSalt: cacheSalt ?? null, addSpecialTokens: false },
    }
  }

  /** Makes the request of a prompt; a promise if its text is long, or it follows a grammar. Throws if it cannot fit. */
  admit(
    requestId: string,
    prompt: ParsedPrompt,
    asked: SamplingParams | PooledPrompt,
    listener: RequestListener,
  ): Request | Promise<Request> {
    const make = (all: TokenIds) => {
      const [kept, ids] = this.#truncate(prompt, all, asked)
      return asked instanceof PooledPrompt
        ? this.#makeEmbedding(requestId, kept, ids, asked, listener)
        : this.#begin(asked, prompt, (masks) =>
            this.#makeRequest(requestId, kept, ids, asked, listener, masks),
          )
    }
    const ids = this.tokenIds(prompt)
    return ids instanceof Promise ? ids.then(make) : make(ids)
  }

  /** The last tokens of a prompt that has more than the request keeps, and their text. */
  #truncate(
    prompt: ParsedPrompt,
    ids: TokenIds,
    asked: SamplingParams | PooledPrompt,
  ): readonly [ParsedPrompt, TokenIds] {
    const { truncatePromptTokens: wanted } = asked
    if (wanted === null) return [prompt, ids]
    if (prompt.embeds !== null)
      throw new RangeError(
        `truncatePromptTokens: expected none beside promptEmbeds, found ${wanted}`,
      )
    const drawn = asked instanceof PooledPrompt ? 0 : (asked.maxTokens ?? 1)
    const kept = wanted === -1 ? Math.max(1, this.#options.maxModelLen - drawn) : wanted
    if (ids.length <= kept) return [prompt, ids]
    const last = ids.slice(-kept)
    if (prompt.text === null) return [prompt, last]
    return [{ ...prompt, text: this.tokenizer.decode(last, { skipSpecialTokens: false }) }, last]
  }

  /** The tokens of a prompt; a promise only if its text is long. */
  tokenIds({ text, tokenIds, addSpecialTokens }: ParsedPrompt): TokenIds | Promise<TokenIds> {
    if (tokenIds !== null) return tokenIds
    const known = text ?? ''
    if (known.length <= WORKER_FROM) return this.tokenizer.encode(known, { addSpecialTokens })
    return this.tokenizer.encodeAsync(known, { addSpecialTokens })
  }

  /** Gives the event loop a turn when tokenising has held it for some milliseconds. */
  async turn(): Promise<void> {
    if (performance.now() - this.#busySince < TURN) return
    await new Promise((resolve) => setImmediate(resolve))
    this.#busySince = performance.now()
  }

  async close(): Promise<void> {
    await Promise.all([this.#options.tokenizer?.close(), this.#options.masks?.close()])
  }

  /** Numbers of an embedding; null: the model gives none here. */
  get embeddingSize(): number | null {
    return this.#options.embeddingSize
  }

  get vocabSize(): number {
    return this.#options.vocabSize
  }

  get samplingDefaults(): GenerationDefaults {
    return this.#options.samplingDefaults
  }

  get chatTemplate(): ChatTemplate | null {
    return this.#options.chatTemplate
  }

  /** Throws EngineError `not_supported` where there is none. */
  get tokenizer(): Tokenizer {
    return this.#checkTokenizer()
  }

  #checkTokenizer(): Tokenizer {
    const { tokenizer } = this.#options
    if (tokenizer !== null) return tokenizer
    throw new EngineError(
      'not_supported',
      'the engine has no tokenizer (skipTokenizerInit, or none in the model folder): give { promptTokenIds }',
    )
  }

  /** Makes a request at once, or when its grammar is compiled. */
  #begin(
    { structuredOutputs }: SamplingParams,
    { chatTemplate, text }: ParsedPrompt,
    make: (masks: RequestMasks | null) => Request,
  ): Request | Promise<Request> {
    const { masks, eosTokenIds } = this.#options
    if (structuredOutputs === null) return make(null)
    if (masks === null)
      throw new EngineError(
        'not_supported',
        'structuredOutputs: the engine has no tokenizer (skipTokenizerInit), by which an output follows a grammar',
      )
    if (eosTokenIds.length === 0) {
      throw new EngineError(
        'not_supported',
        'structuredOutputs: the model has no end token, by which such an output ends',
      )
    }
    const thoughts =
      chatTemplate === undefined ? null : replyFormatOf(chatTemplate).thoughts(text ?? '')
    return masks.open({ ...structuredOutputs, thoughts }).then((opened) => {
      try {
        return make(opened)
      } catch (error) {
        opened.close()
        throw error
      }
    })
  }

  #makeRequest(
    requestId: string,
    prompt: ParsedPrompt,
    ids: ArrayLike<number>,
    params: SamplingParams,
    listener: RequestListener,
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
  #makeEmbedding(
    requestId: string,
    prompt: ParsedPrompt,
    ids: ArrayLike<number>,
    pooled: PooledPrompt,
    listener: RequestListener,
  ): Request {
    const { eosTokenIds, vocabSize } = this.#options
    const { embeds } = prompt
    const promptTokenIds = Int32Array.from(ids)
    checkTokenIds(promptTokenIds, vocabSize)
    const tokens = behindRows(embeds, promptTokenIds)
    this.#checkEmbeddable(tokens.length)
    const params = this.checkParams({ maxTokens: 1 })
    const group = new SequenceGroup({
      ...{ requestId, promptTokenIds: tokens, params, seedLow: 0, seedHigh: 0, embeds },
      arrivalTime: Date.now(),
      cacheKey: prompt.cacheSalt ?? '',
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
      throw new RangeError(
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
    const { eosTokenIds, vocabSize } = this.#options
    const badWords =
      params.badWords.length > 0 ? new BadWords(params.badWords, this.tokenizer) : null
    const bannedNext: BannedNext | null =
      badWords &&
      (({ tokens, promptLength, length }) => badWords.banned(tokens, promptLength, length))
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
      throw new RangeError(
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
