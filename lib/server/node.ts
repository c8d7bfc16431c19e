import { ServerResponse, type IncomingMessage } from 'node:http'
import type { Handler } from './handler.js'
import { isStreamed, type Incoming, type Reply } from './exchange.js'

/** What `node:http`, Express and Connect call; `next` is never called. */
export type NodeListener = (request: IncomingMessage, response: ServerResponse) => void

/**
 * A handler as a listener of `node:http`, which is also a middleware of Express. It bypasses the web
 * standard's objects, so that a streamed token costs less.
 *
 * @example
 * createServer(toNodeListener(createHandler(engine))).listen(8000)
 */
export function toNodeListener(handler: Handler): NodeListener {
  return (request, response) => {
    const gone = new AbortController()
    response.once('close', () => {
      if (!response.writableFinished) gone.abort(new ClientGoneError())
    })
    // A broken connection is noticed by 'close'; as an error nobody else needs to hear of it.
    response.on('error', () => undefined)
    request.on('error', () => undefined)
    handler
      .answer(fromMessage(request, gone.signal))
      .then((reply) => {
        const { config, gate } = handler.context
        return write(response, request, reply, {
          writeTimeout: config.writeTimeout,
          draining: gate.closed,
        })
      })
      .catch(() => response.destroy())
  }
}

/** The client left before it was answered. */
class ClientGoneError extends Error {
  constructor() {
    super('the client closed the connection')
  }
}

/** Express and Connect cut `url` where they mount a listener, and keep it whole beside it. */
type MountedMessage = IncomingMessage & { readonly originalUrl?: string }

function fromMessage(request: MountedMessage, signal: AbortSignal): Incoming {
  const [path = '/', ...query] = (request.url ?? '/').split('?')
  const [clientPath = path] = (request.originalUrl ?? path).split('?')
  return {
    method: request.method ?? 'GET',
    path,
    clientPath,
    query: new URLSearchParams(query.join('?')),
    header: (name) => {
      const value = request.headers[name]
      return Array.isArray(value) ? value.join(', ') : (value ?? null)
    },
    body: { [Symbol.asyncIterator]: () => request.iterator({ destroyOnReturn: false }) },
    bodyUsed: request.readableDidRead,
    signal,
  }
}

async function write(
  response: ServerResponse,
  request: IncomingMessage,
  { status, headers, body }: Reply,
  { writeTimeout, draining }: { readonly writeTimeout: number; readonly draining: boolean },
): Promise<void> {
  if (draining) response.setHeader('connection', 'close')
  response.writeHead(status, withLength(headers, body))
  // What is left of a body that was refused is passed over: a connection that ends before may take the
  // reply with it.
  if (!request.complete) request.resume()
  if (!isStreamed(body)) {
    response.end(request.method === 'HEAD' ? null : body)
    return
  }
  for await (const piece of body) {
    if (response.destroyed) return
    if (request.method === 'HEAD') break
    if (!writePiece(response, piece)) await drained(response, writeTimeout)
  }
  response.end()
}

/**
 * Writes a text with the frame of its chunk as one, where Node would make four writes of it; not where
 * a middleware sees to what is written.
 */
function writePiece(response: ServerResponse, piece: string | Uint8Array): boolean {
  const wrapped = response.write !== ServerResponse.prototype.write
  if (wrapped || !response.chunkedEncoding || typeof piece !== 'string' || piece === '')
    return response.write(piece)
  response.chunkedEncoding = false
  try {
    return response.write(`${Buffer.byteLength(piece).toString(16)}\r\n${piece}\r\n`)
  } finally {
    response.chunkedEncoding = true
  }
}

function withLength(headers: Reply['headers'], body: Reply['body']): Reply['headers'] {
  if (body === null || isStreamed(body)) return headers
  return { ...headers, 'content-length': String(Buffer.byteLength(body)) }
}

/** Resolves when the client has read on; one that does not in time is left. */
async function drained(response: ServerResponse, seconds: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => response.destroy(), seconds * 1000)
    const settle = (done: () => void) => {
      clearTimeout(timer)
      response.off('drain', onDrain).off('close', onClose)
      done()
    }
    const onDrain = () => settle(resolve)
    const onClose = () => settle(() => reject(new ClientGoneError()))
    response.once('drain', onDrain).once('close', onClose)
  })
}
