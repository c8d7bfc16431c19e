import { EngineError } from '../errors.js'
import type { Executor, StepResult } from '../native/executor.js'
import type { SamplingOptions } from '../sampling-params.js'
import type { ScheduledStep } from '../scheduling/scheduled-step.js'
import type { Scheduler } from '../scheduling/scheduler.js'
import { checkCallOptions, type CallOptions, type ChatOptions } from './call-options.js'
import { Arrivals } from './arrivals.js'
import { chatRequest } from './chat-reply.js'
import { checkEmbedding, PooledPrompt } from './embedding.js'
import type { Asked, EmbeddingOutput, EmbedOptions } from './embedding.js'
import { Flights, type Flight } from './flights.js'
import { runCall, runRequest, streamCall } from './calls.js'
import type { Admission, CallHost, OutputStream } from './calls.js'
import type { EngineConfig, LoadOptions } from './config.js'
import type { EngineParts } from './engine-parts.js'
import type { Intake } from './intake.js'
import type { Loras } from './loras.js'
import { EngineText } from './engine-text.js'
import { type EngineObserver, Observers } from './observer.js'
import type { RequestOutput } from './outputs.js'
import type { ChatTurn } from '../text/chat-turns.js'
import { checkPins, pinPrompt, type PinnedPrefix } from './pinned-prefix.js'
import { promptList, type ParsedPrompt, type Prompt } from './prompt.js'
import { type Request, requestOf, requestsIn } from './request.js'
import { type EngineStats, StatsKeeper } from './stats.js'
import { type EngineSnapshot, snapshotOf, type SnapshotOptions } from './snapshot.js'
import { mapInOrder } from './map-in-order.js'
import { collecting } from './waiter.js'
import { loadEngineParts } from './load.js'

/**
 * A loaded model that serves any number of requests at once: continuous batching over a paged
 * key/value cache.
 *
 * @example
 * const engine = await LLMEngine.load('demo')
 * const [output] = await engine.generate('Once upon a time', { maxTokens: 64, temperature: 0 })
 * console.log(output.outputs[0].text)
 * await engine.close()
 */
export class LLMEngine {
  readonly model: string
  /** Tokens of the longest sequence, prompt and output. */
  readonly maxModelLen: number
  /** One line about the device, such as "cpu avx512, 2 threads". */
  readonly device: string
  /** The options in force. */
  readonly config: EngineConfig
  /** Sampling options that the model's generation_config.json sets where requests leave them out. */
  readonly samplingDefaults: Intake['samplingDefaults']
  /** Tokens and chat prompts, with nothing computed. */
  readonly text: EngineText
  /** The adapters (LoRA) that requests name. */
  readonly loras: Loras

  readonly #scheduler: Scheduler
  readonly #executor: Executor
  readonly #intake: Intake
  /** Requests that are queued or running, by id. */
  readonly #requests = new Map<string, Request>()
  readonly #stats = new StatsKeeper()
  readonly #observers = new Observers()
  /** Requests that the last step moved and whose listeners are still to be told. */
  #untold: Request[] = []
  /** Requests of addRequest that moved since the last `step()`. */
  readonly #moved = new Set<Request>()
  readonly #arriving = new Arrivals(this.#enter.bind(this), this.#settle.bind(this))
  readonly #flights: Flights
  /** A step that was scheduled and submitted before the one in front of it is committed. */
  #ahead: Flight | null = null
  /** Whether a caller of `step()`, or the engine itself, steps at present. */
  #callerSteps = false
  #engineSteps = false
  /** Resolves when the engine has stopped stepping by itself. */
  #pumped: Promise<void> = Promise.resolve()
  /** Requests that the engine steps by itself: all but those of addRequest. */
  readonly #automatic = new Set<Request>()
  readonly #callers: CallHost = {
    enter: (request) => {
      this.#enter(request)
      this.#automatic.add(request)
      this.#wake()
    },
    abort: (requestId) => this.abort(requestId),
  }
  /** Why nothing is taken any more. */
  #ended: EngineError | null = null
  #closing: Promise<void> | null = null

  constructor(parts: EngineParts) {
    this.model = parts.model
    this.maxModelLen = parts.maxModelLen
    this.device = parts.device
    this.config = parts.config
    this.#scheduler = parts.scheduler
    this.#executor = parts.executor
    this.#intake = parts.intake
    this.samplingDefaults = parts.intake.samplingDefaults
    this.text = new EngineText(parts.intake)
    this.#flights = new Flights(parts.executor)
    this.loras = parts.loras
    this.#executor.onAdapterFailed = (adapter, error) => {
      const failure = this.loras.fail(adapter, error)
      this.#scheduler.adapters.forget(adapter)
      const failing = [...this.#requests.values()].filter(({ group }) => group.adapter === adapter)
      for (const request of failing) request.fail(failure)
      for (const { id } of failing) this.abort(id)
    }
    this.#executor.onDead = ({ message }) => {
      this.#end(new EngineError('engine_dead', `the engine is dead: ${message}`))
    }
  }

  /**
   * Loads a model: 'demo' (a tiny one of the package), a folder in Hugging Face's layout, a GGUF file, or a
   * Hugging Face id such as 'org/name' or 'org/name-GGUF:Q4_K_M' (docs/loading.md). Throws EngineError when
   * it cannot be found, read or held in memory, TypeError or RangeError when an option is wrong.
   *
   * @example
   * const engine = await LLMEngine.load('./models/smollm2', { maxModelLen: 2048 })
   */
  static async load(model = 'demo', options: LoadOptions = {}): Promise<LLMEngine> {
    return new LLMEngine(await loadEngineParts(model, options))
  }

  /**
   * Continues every prompt; the outputs come in the prompts' order. Long lists are tokenised as the
   * queue drains. The first prompt that fails rejects the call and ends the others.
   *
   * @example
   * const outputs = await engine.generate(['One', 'Two'], { maxTokens: 32, temperature: 0 })
   */
  async generate(
    prompts: Prompt | readonly Prompt[],
    params: SamplingOptions | readonly SamplingOptions[] = {},
    options: CallOptions = {},
  ): Promise<RequestOutput[]> {
    checkCallOptions(options)
    const list = promptList(prompts)
    const samplings = this.#intake.checkParamsList(params, list.length)
    return mapInOrder(list, 2 * this.config.maxNumSeqs, options.signal, (prompt, i, signal) =>
      runCall(this.#callers, this.#admission(prompt, samplings(i), options), {
        ...options,
        signal,
      }),
    )
  }

  /**
   * Continues a prompt and gives its text as it is made, a delta a step and output. Leaving the loop ends the request.
   *
   * @example
   * for await (const { text } of engine.stream('Once upon a time')) process.stdout.write(text)
   */
  stream(prompt: Prompt, params: SamplingOptions = {}, options: CallOptions = {}): OutputStream {
    checkCallOptions(options)
    const sampling = this.#intake.checkParams(params, { streaming: true })
    return streamCall(this.#callers, this.#admission(prompt, sampling, options), options)
  }

  /**
   * Answers a chat. `maxTokens` is generation_config.json's or the rest of the context, unless it is given. With
   * `tools`, and of models that think, `text` is the answer alone: see `reasoning` and `toolCalls`.
   *
   * @example
   * const reply = await engine.chat([{ role: 'user', content: 'Hi' }], { topP: 0.9 })
   * console.log(reply.outputs[0].text)
   */
  async chat(
    messages: readonly ChatTurn[],
    params: SamplingOptions = {},
    options: ChatOptions = {},
  ): Promise<RequestOutput> {
    const { prompt, sampling, reply } = chatRequest(this.#intake, messages, params, options)
    return reply.read(await runCall(this.#callers, this.#admit(prompt, sampling), options))
  }

  /**
   * Answers a chat as it is made; see {@link LLMEngine.stream}.
   *
   * @example
   * for await (const { text } of engine.chatStream([{ role: 'user', content: 'Hi' }])) write(text)
   */
  chatStream(
    messages: readonly ChatTurn[],
    params: SamplingOptions = {},
    options: ChatOptions = {},
  ): OutputStream {
    const { prompt, sampling, reply } = chatRequest(this.#intake, messages, params, options, true)
    return reply.readStream(streamCall(this.#callers, this.#admit(prompt, sampling), options))
  }

  /**
   * Embeds every input in one row of numbers, of length 1 unless `normalize` is false; the outputs come
   * in the inputs' order. Throws RangeError when an input is longer than maxModelLen.
   *
   * @example
   * const [cat, dog] = await engine.embed(['a cat', 'a dog'], { pooling: 'mean' })
   * console.log(cat.embedding.reduce((sum, x, i) => sum + x * dog.embedding[i], 0)) // their cosine
   */
  async embed(
    inputs: Prompt | readonly Prompt[],
    options: EmbedOptions = {},
  ): Promise<EmbeddingOutput[]> {
    const checked = checkEmbedding(options, this.#intake.embeddingSize)
    const list = promptList(inputs)
    const { signal } = options
    return mapInOrder(list, 2 * this.config.maxNumSeqs, signal, async (input, _, linked) => {
      const admission = this.#admission(input, new PooledPrompt(checked), options)
      const call = { ...options, signal: linked }
      return (await runRequest(this.#callers, admission, call)).embedding()
    })
  }

  /**
   * Queues a request for `step()`. Throws RangeError when the id is in use or the prompt cannot fit;
   * a text over 16 kB is tokenised meanwhile, and the next `step()` waits for it.
   *
   * @example
   * engine.addRequest('a', 'Once upon a time', { maxTokens: 8 })
   * for (let moved; (moved = await engine.step()).length > 0; ) console.log(moved[0].outputs[0].text)
   */
  addRequest(requestId: string, prompt: Prompt, params: SamplingOptions = {}): void {
    this.#checkAlive()
    if (typeof requestId !== 'string') throw new TypeError('requestId: expected a string')
    if (this.#requests.has(requestId) || this.#arriving.has(requestId)) {
      throw new RangeError(`requestId: "${requestId}" is in use by an unfinished request`)
    }
    const sampling = this.#intake.checkParams(params)
    const parsed = this.#intake.parse(prompt)
    const request = this.#intake.admit(requestId, parsed, sampling, collecting(this.#moved))
    if (request instanceof Promise) this.#arriving.add(requestId, request)
    else this.#enter(request)
  }

  /**
   * Computes one step of everything that is queued or running; gives the requests of `addRequest` that moved
   * since the last call, none when there is nothing to do. Throws `busy` while the engine steps by itself.
   */
  async step(): Promise<RequestOutput[]> {
    this.#checkAlive()
    if (this.#callerSteps || this.#automatic.size > 0) {
      throw new EngineError('busy', 'the engine is stepping already')
    }
    this.#callerSteps = true
    try {
      await this.#pumped // a step may be in flight whose requests were all aborted
      await this.#arriving.all()
      if (this.#scheduler.hasWork) await this.#step()
      this.#tell()
    } finally {
      this.#callerSteps = false
      this.#wake()
    }
    const moved = [...this.#moved].map((request) => request.output())
    this.#moved.clear()
    return moved
  }

  /** Ends a request with finish reason 'abort' and what it has; false when there is no such request. */
  abort(requestId: string): boolean {
    if (this.#arriving.cancel(requestId)) return true
    const request = this.#requests.get(requestId)
    if (!request) return false
    this.#scheduler.abort(requestId)
    request.finish('abort')
    this.#settle(request)
    return true
  }

  /** What the engine did and holds at present. */
  stats(): EngineStats {
    return this.#stats.read(this.#scheduler.stats)
  }

  /** Whether requests are taken: it is neither closed nor dead. */
  get alive(): boolean {
    return this.#ended === null
  }

  /** Tells somebody of each step, token and request; gives the function that ends that. */
  observe(observer: EngineObserver): () => void {
    return this.#observers.add(observer)
  }

  /**
   * What the engine holds at this moment: its blocks with their owners, its requests with their text.
   * For who watches; cheap enough for several times a second.
   */
  snapshot(options: SnapshotOptions = {}): EngineSnapshot {
    return snapshotOf(this.stats(), this.#scheduler.blocks, this.#requests.values(), options)
  }

  /**
   * Computes a beginning of prompts ahead and keeps it in the cache, in whole blocks, until it is
   * released; for other requests the pool is smaller by these. Throws `out_of_memory` when too little
   * would be left for a request under way, `not_supported` without enablePrefixCaching.
   *
   * @example
   * const prefix = await engine.cachePrefix(instructions)
   * const [output] = await engine.generate(instructions + question)
   * prefix.release()
   */
  async cachePrefix(prompt: Prompt, options: CallOptions = {}): Promise<PinnedPrefix> {
    checkCallOptions(options)
    checkPins(this.config)
    const sampling = this.#intake.checkParams({ maxTokens: 1, temperature: 0 })
    const admission = this.#admission(prompt, sampling, options)
    return pinPrompt(this.#scheduler, (pinning) =>
      runCall(this.#callers, (listener) => admission(pinning.before(listener)), options),
    )
  }

  /** Forgets every cached prefix but the pinned ones. */
  resetPrefixCache(): void {
    this.#scheduler.resetPrefixCache()
  }

  /** Throws an Error that names the first broken invariant of the block manager. */
  checkIntegrity(): void {
    this.#scheduler.checkIntegrity()
  }

  /** Ends every request with `closed`, waits for the step in flight, frees all memory. */
  close(): Promise<void> {
    this.#end(new EngineError('closed', 'the engine is closed'))
    this.#closing ??= Promise.all([this.#executor.close(), this.#intake.close()]).then(() => {
      this.#flights.fail(this.#ended)
    })
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The heart: decide, compute, take in. Listeners hear of a step while the next one is computed. */
  async #step(): Promise<void> {
    const flight = this.#ahead ?? this.#submitNext()
    if (flight === null) throw new Error('the scheduler has work but schedules nothing')
    this.#ahead = this.#mayRunAhead() ? this.#submitNext() : null
    this.#tell()
    this.#commit(flight.step, await flight.result)
  }

  /** Whether the executor gets its next step now, to begin it while this one is committed. */
  #mayRunAhead(): boolean {
    return this.config.asyncScheduling && this.#engineSteps && this.#scheduler.canScheduleAhead
  }

  #submitNext(): Flight | null {
    const step = this.#scheduler.schedule()
    return step && this.#flights.submit(step)
  }

  /** The text of each drawn token is seen before its sequence goes on, so that a stop string ends it here. */
  #commit(step: ScheduledStep, result: StepResult): void {
    let row = 0
    let pooled = 0
    for (const part of step.sequences) {
      const request = requestOf(part.sequence.group)
      if (request?.acceptPart(part, result, row, pooled) === false)
        this.#scheduler.abort(request.id)
      row += part.scoreCount + part.draws
      if (part.pools > 0) pooled++
    }
    this.#stats.addStep(step, result, this.#scheduler.blocks.pool)
    this.#observers.step(step, result)
    this.#scheduler.commit(step, result, (sequence, tokenId, sampleRow) => {
      const request = requestOf(sequence.group)
      if (request) this.#observers.token(request, sequence)
      return request?.acceptToken(sequence, tokenId, result, sampleRow) ?? null
    })
    for (const request of requestsIn(step)) {
      request.finishEnded()
      if (request.group.finished) this.#settle(request)
      else this.#untold.push(request)
    }
  }

  #tell(): void {
    const moved = this.#untold
    this.#untold = []
    for (const request of moved) request.listener.onMoved(request)
  }

  /** Steps until no request of its own is left. */
  async #pump(): Promise<void> {
    this.#engineSteps = true
    try {
      while ((this.#automatic.size > 0 || this.#ahead !== null) && this.#ended === null)
        await this.#step()
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      this.#end(new EngineError('engine_dead', `the engine is dead: ${reason}`, { cause: error }))
    } finally {
      this.#tell()
      this.#engineSteps = false
    }
  }

  #wake(): void {
    if (this.#engineSteps || this.#callerSteps || this.#automatic.size === 0) return
    this.#pumped = this.#pump()
  }

  #admission(prompt: Prompt, asked: Asked, options: CallOptions): Admission {
    return this.#admit(this.#intake.parse(prompt, options), asked)
  }

  #admit(prompt: ParsedPrompt, asked: Asked): Admission {
    this.#checkAlive()
    return (listener) => this.#intake.admitInTurn(prompt, asked, listener)
  }

  #enter(request: Request): void {
    this.#checkAlive()
    this.#scheduler.add(request.group)
    this.#requests.set(request.id, request)
  }

  /** A request is over: it is forgotten, and its listener told. */
  #settle(request: Request): void {
    if (this.#requests.get(request.id) === request) this.#requests.delete(request.id)
    this.#automatic.delete(request)
    this.#stats.addRequest()
    request.release()
    this.#observers.end(request)
    request.listener.onEnded(request)
  }

  /** Ends the engine: nothing more is taken, and every request fails with the reason. */
  #end(reason: EngineError): void {
    if (this.#ended !== null) return
    this.#ended = reason
    for (const request of this.#requests.values()) {
      this.#scheduler.abort(request.id)
      request.listener.onError(reason)
      request.release()
    }
    this.#requests.clear()
    this.#automatic.clear()
    if (reason.code === 'engine_dead') this.#flights.fail(reason)
  }

  #checkAlive(): void {
    if (this.#ended !== null) throw this.#ended
  }
}
