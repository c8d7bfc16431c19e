import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import OpenAI from 'openai'
import { afterAll } from 'vitest'
import { LLMEngine, type EngineOptions } from '../../lib/index.js'
import { createHandler, toNodeListener, type Handler } from '../../lib/server/index.js'
import type { HandlerOptions } from '../../lib/server/options.js'

/** A server of an engine on a free port, until the tests of a file end. */
export class TestServer {
  readonly engine: LLMEngine
  readonly handler: Handler
  readonly server: Server
  readonly url: string
  readonly client: OpenAI

  private constructor(engine: LLMEngine, handler: Handler, server: Server) {
    this.engine = engine
    this.handler = handler
    this.server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    this.client = new OpenAI({ baseURL: `${this.url}/v1`, apiKey: 'none', maxRetries: 0 })
  }

  static async start(
    options: HandlerOptions = {},
    engineOptions: EngineOptions & { model?: string } = {},
  ): Promise<TestServer> {
    const { model = 'demo', ...rest } = engineOptions
    const engine = await LLMEngine.load(model, { log: false, ...rest })
    const handler = createHandler(engine, options)
    const server = createServer(toNodeListener(handler))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const started = new TestServer(engine, handler, server)
    afterAll(() => started.close())
    return started
  }

  post(path: string, body: unknown, init: RequestInit = {}): Promise<Response> {
    return fetch(this.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      ...init,
    })
  }

  /** Waits until no request is left; fails where one holds blocks after that. */
  async settled(): Promise<void> {
    const busy = () => {
      const { running, waiting } = this.engine.stats()
      return running + waiting + this.handler.context.gate.inside > 0
    }
    while (busy()) await new Promise((resolve) => setTimeout(resolve, 5))
    this.engine.checkIntegrity()
    const { usedBlocks } = this.engine.stats()
    if (usedBlocks > 0) throw new Error(`${usedBlocks} blocks are still in use`)
  }

  async close(): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
    await this.engine.close()
  }
}
