import { EngineError } from '../errors.js'
import type { SamplingOptions, SamplingParams } from '../sampling-params.js'
import type { Scheduler } from '../scheduling/scheduler.js'
import type { RequestMasks, StructuredMasks } from '../structured/structured-masks.js'
import type { ChatTemplate, RenderOptions } from '../text/chat-template.js'
import type { ChatTurn } from '../text/chat-turns.js'
import { replyFormatOf } from '../text/reply-format.js'
import { WORKER_FROM, type Tokenizer } from '../text/tokenizer.js'
import type { LoadableAdapter } from '../weights/loadable-adapter.js'
import { resolveSamplingParams } from './check-sampling.js'
import type { EngineConfig } from './config.js'
import { PooledPrompt, type Asked } from './embedding.js'
import type { CallOptions } from './call-options.js'
import type { GenerationDefaults } from './generation-defaults.js'
import type { LoraRequest } from './lora-request.js'
import type { Loras } from './loras.js'
import { checkTokenIds, parsePrompt, type ParsedPrompt, type Prompt } from './prompt.js'
import type { Request, RequestListener } from './request.js'
import { RequestMaker } from './request-maker.js'

/** Milliseconds of tokenising after which the event loop gets a turn. */
const TURN = 4

type TokenIds = readonly number[] | Int32Array
type ChatRendering = 'tools' | 'variables' | 'addGenerationPrompt' | 'continueFinalMessage'
interface ChatPromptOptions extends Pick<RenderOptions, ChatRendering> {
  readonly cacheSalt?: string
  readonly loraRequest?: LoraRequest
}

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
  readonly loras: Loras
  /** null: without a tokenizer. */
  readonly masks: StructuredMasks | null
}

/** Where requests come in: checks, chat templates, tokens; a caller's prompt becomes a Request. */
export class Intake {
  readonly #options: IntakeOptions
  readonly #maker: RequestMaker
  #busySince = 0
  #nextId = 0

  constructor(options: IntakeOptions) {
    this.#options = options
    this.#maker = new RequestMaker(options)
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
      // A prompt is not cut for tokens that nobody asked for.
      defaultMaxTokens: !chat ? 16 : options.truncatePromptTokens === -1 ? null : maxTokens,
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

  /** Checks a prompt's shape and token ids; the call's adapter is for prompts without one of their own. */
  parse(prompt: Prompt, { loraRequest }: Pick<CallOptions, 'loraRequest'> = {}): ParsedPrompt {
    const parsed = parsePrompt(prompt, loraRequest)
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
    { cacheSalt, loraRequest, ...given }: ChatPromptOptions = {},
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
      ...{ cacheSalt: cacheSalt ?? null, lora: loraRequest ?? null, addSpecialTokens: false },
    }
  }

  /**
   * Makes the request of a prompt; a promise if its text is long, it follows a grammar or its adapter's files are to be
   * read. Throws if it cannot fit.
   */
  admit(
    requestId: string,
    prompt: ParsedPrompt,
    asked: Asked,
    listener: RequestListener,
  ): Request | Promise<Request> {
    const make = (all: TokenIds, adapter: LoadableAdapter | null) => {
      const [kept, ids] = this.#truncate(prompt, all, asked)
      const arrived = { requestId, prompt: kept, ids, adapter, listener }
      return asked instanceof PooledPrompt
        ? this.#maker.embedding(arrived, asked, this.checkParams({ maxTokens: 1 }))
        : this.#begin(asked, kept, (masks) => this.#maker.request(arrived, asked, masks))
    }
    const adapter = prompt.lora === null ? null : this.#options.loras.find(prompt.lora)
    const ids = this.tokenIds(prompt)
    if (!(ids instanceof Promise) && !(adapter instanceof Promise)) return make(ids, adapter)
    return Promise.all([ids, adapter]).then(([known, found]) => make(known, found))
  }

  /** The last tokens of a prompt that has more than the request keeps, and their text. */
  #truncate(prompt: ParsedPrompt, ids: TokenIds, asked: Asked): readonly [ParsedPrompt, TokenIds] {
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

  /** The same under an id of its own, once the event loop has had its turn. */
  async admitInTurn(prompt: ParsedPrompt, asked: Asked, listener: RequestListener) {
    await this.#turn()
    return this.admit(`request-${this.#nextId++}`, prompt, asked, listener)
  }

  /** Gives the event loop a turn when tokenising has held it for some milliseconds. */
  async #turn(): Promise<void> {
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
}
