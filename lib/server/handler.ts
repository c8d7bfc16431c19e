import type { LLMEngine } from '../engine/llm-engine.js'
import { ApiKeys, corsHeaders, preflightReply } from './access.js'
import { ServerContext } from './context.js'
import { isStreamed, type Incoming, type Reply } from './exchange.js'
import { errorReply } from './http-error.js'
import { resolveHandlerOptions, type HandlerOptions } from './options.js'
import { RequestNotes } from './request-notes.js'
import { isBelow, Router, type Api } from './router.js'
import { apis, routes } from './routes/index.js'
import { fromRequest, toResponse } from './web.js'

/** Answers requests of OpenAI's API, and of those who watch over a server. */
export interface Handler {
  /** The web standard's form. Never rejects. */
  (request: Request): Promise<Response>
  /** What an adapter calls: the same without the web standard's objects. Never rejects. */
  answer(incoming: Incoming): Promise<Reply>
  /** What all routes share. */
  readonly context: ServerContext
  /** Refuses new requests with 503; resolves when all others are answered. The engine stays open. */
  drain(): Promise<void>
}

/**
 * A handler of OpenAI's API for an engine: `(Request) => Promise<Response>`, for any framework. Of a
 * promise, requests are refused with 503 until the engine is loaded. Throws TypeError or RangeError
 * naming a wrong option.
 *
 * @example
 * const handler = createHandler(await LLMEngine.load('demo'))
 * createServer(toNodeListener(handler)).listen(8000)
 */
export function createHandler(
  engine: LLMEngine | Promise<LLMEngine>,
  options: HandlerOptions = {},
): Handler {
  const config = resolveHandlerOptions(options)
  const context = new ServerContext(engine, config)
  const service = new Service(context)
  const answer = (incoming: Incoming) => service.answer(incoming)
  const handle = async (request: Request) => toResponse(await answer(fromRequest(request)))
  return Object.assign(handle, { answer, context, drain: () => context.gate.close() })
}

/** From a request to its reply: access, limits, route, errors, and the end of it all. */
class Service {
  readonly #context: ServerContext
  readonly #router = new Router(routes)
  readonly #keys: ApiKeys

  constructor(context: ServerContext) {
    this.#context = context
    this.#keys = new ApiKeys(context.config.apiKeys)
  }

  async answer(incoming: Incoming): Promise<Reply> {
    const entry = new OpenRequest(this.#context, incoming)
    const path = this.#pathOf(incoming)
    const api = apis.find((each) => isBelow(path, each.path)) ?? null
    const reply = await this.#reply(incoming, { path, api, entry })
    const cors = corsHeaders(incoming, this.#context.config.allowedOrigins)
    const { requestId } = entry.notes
    const headers = {
      ...{ ...reply.headers, ...cors, ...api?.headers(requestId) },
      'x-request-id': requestId,
    }
    return entry.finish({ ...reply, headers })
  }

  async #reply(incoming: Incoming, { path, api, entry }: Located): Promise<Reply> {
    const { config } = this.#context
    const { notes } = entry
    try {
      if (incoming.method === 'OPTIONS') return preflightReply(incoming, config.allowedOrigins)
      const { route, parameters } = this.#router.match(incoming.method, path)
      if (route.open !== true) this.#keys.check(incoming)
      if (route.method === 'POST') entry.enter()
      return await route.answer({ context: this.#context, incoming, notes, parameters })
    } catch (error) {
      if (incoming.signal.aborted) return { status: CLIENT_GONE, headers: {}, body: null }
      const reply = errorReply(error, api?.errorShape)
      if (reply.status >= 500 && reply.status !== 503) config.onError(error, notes.requestId)
      return reply
    }
  }

  #pathOf({ path }: Incoming): string {
    const { basePath } = this.#context.config
    return isBelow(path, basePath) ? path.slice(basePath.length) || '/' : path
  }
}

/** A request, and where it is: by its path without the base path, and of which API; null: OpenAI's. */
interface Located {
  readonly path: string
  readonly api: Api | null
  readonly entry: OpenRequest
}

/** nginx's status for a client that left, which shows in logs alone. */
const CLIENT_GONE = 499

/** A request until its last byte is handed over: it stays inside the gate, then it is logged. */
class OpenRequest {
  readonly notes: RequestNotes
  readonly #context: ServerContext
  readonly #incoming: Incoming
  readonly #start = performance.now()
  #entered = false

  constructor(context: ServerContext, incoming: Incoming) {
    this.notes = new RequestNotes(incoming.header('x-request-id'))
    this.#context = context
    this.#incoming = incoming
  }

  enter(): void {
    this.#context.gate.enter()
    this.#entered = true
  }

  /** The reply, whose end is noticed. */
  finish(reply: Reply): Reply {
    const { body, status } = reply
    if (isStreamed(body)) return { ...reply, body: watched(body, () => this.#end(status)) }
    this.#end(status)
    return reply
  }

  #end(status: number): void {
    if (this.#entered) this.#context.gate.leave()
    this.#context.config.onRequest({
      requestId: this.notes.requestId,
      method: this.#incoming.method,
      path: this.#incoming.path,
      status,
      milliseconds: Number((performance.now() - this.#start).toFixed(3)),
      aborted: this.#incoming.signal.aborted,
      ...this.notes.facts,
    })
  }
}

/** The same pieces; `onEnd` is told once: after the last one, a failure, or when the reader has left. */
function watched<T>(pieces: AsyncIterable<T>, onEnd: () => void): AsyncIterable<T> {
  const iterator = pieces[Symbol.asyncIterator]()
  let ended = false
  const end = () => {
    if (ended) return
    ended = true
    onEnd()
  }
  const next = async () => {
    try {
      const piece = await iterator.next()
      if (piece.done === true) end()
      return piece
    } catch (error) {
      end()
      throw error
    }
  }
  const leave = async () => {
    try {
      await iterator.return?.()
    } finally {
      end() // a piece that was asked for before may have ended it
    }
    return { done: true as const, value: undefined }
  }
  return { [Symbol.asyncIterator]: () => ({ next, return: leave }) }
}
