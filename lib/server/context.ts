import type { LLMEngine } from '../engine/llm-engine.js'
import { EngineError } from '../errors.js'
import { ResponseStore } from '../openai/responses/store.js'
import { ServedModels } from '../openai/served-models.js'
import { BatchStore } from './files/batch-store.js'
import { Gate } from './gate.js'
import { unavailable } from './http-error.js'
import { Metrics } from './metrics/metrics.js'
import type { HandlerConfig } from './options.js'
import { traceEngine } from './tracing.js'
import { Pace } from './pace.js'

/** Whether requests are answered: not yet, at present, no more, or never again. */
export type ServerState = 'starting' | 'ready' | 'draining' | 'dead'

/** What all routes share. */
export class ServerContext {
  readonly config: HandlerConfig
  readonly gate: Gate
  readonly pace = new Pace()
  readonly metrics = new Metrics()
  readonly responses: ResponseStore
  /** Seconds since the epoch. */
  readonly startTime = Math.floor(Date.now() / 1000)
  #batches: BatchStore | null = null
  #engine: LLMEngine | null = null
  #failure: unknown = null

  /** Of a promise, requests are refused until it is an engine. */
  constructor(engine: LLMEngine | Promise<LLMEngine>, config: HandlerConfig) {
    this.config = config
    this.responses = new ResponseStore(config.maxStoredResponses)
    this.gate = new Gate(() => this.engine.config.maxNumSeqs + config.maxQueueLength)
    if (!(engine instanceof Promise)) this.#begin(engine)
    else {
      engine.then(
        (loaded) => this.#begin(loaded),
        (error: unknown) => (this.#failure = error),
      )
    }
  }

  #begin(engine: LLMEngine): void {
    this.#engine = engine
    this.metrics.watch(engine, this.models.names[0]!)
    const { filesFolder, traces, onError } = this.config
    if (traces) traceEngine(engine).catch((error: unknown) => onError(error, 'traces'))
    if (filesFolder === null) return
    this.#batches = new BatchStore(filesFolder, engine, this.models.names)
    this.#batches.resume().catch((error: unknown) => onError(error, 'resumed batches'))
  }

  get state(): ServerState {
    if (this.#failure !== null) return 'dead'
    if (this.#engine === null) return 'starting'
    if (!this.#engine.alive) return 'dead'
    return this.gate.closed ? 'draining' : 'ready'
  }

  /** Throws HttpError 503 before it is loaded, EngineError when it could not be. */
  get engine(): LLMEngine {
    if (this.#engine !== null) return this.#engine
    if (this.#failure === null) {
      throw unavailable(503, 'starting', 'the model is being loaded; ask again')
    }
    throw new EngineError('engine_dead', 'the model could not be loaded', { cause: this.#failure })
  }

  /** null without filesFolder. Throws as `engine` does. */
  get batches(): BatchStore | null {
    return this.engine.alive ? this.#batches : null
  }

  /** Throws as `engine` does. */
  get models(): ServedModels {
    return new ServedModels(this.engine, this.config.servedModelNames)
  }
}
