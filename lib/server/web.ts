import { isStreamed, type Incoming, type Reply } from './exchange.js'

/** A web standard's request as the handler takes it. */
export function fromRequest(request: Request): Incoming {
  const url = new URL(request.url)
  return {
    method: request.method,
    path: url.pathname,
    clientPath: url.pathname,
    query: url.searchParams,
    header: (name) => request.headers.get(name),
    body: request.body as AsyncIterable<Uint8Array> | null,
    bodyUsed: request.bodyUsed,
    signal: request.signal,
  }
}

/** A reply as the web standard's response; its body is pulled as it is read. */
export function toResponse({ status, headers, body }: Reply): Response {
  const content = isStreamed(body) ? streamOf(body) : body
  return new Response(content, { status, headers })
}

function streamOf(body: AsyncIterable<string | Uint8Array>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  const iterator = body[Symbol.asyncIterator]()
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await iterator.next()
      if (next.done === true) controller.close()
      else
        controller.enqueue(typeof next.value === 'string' ? encoder.encode(next.value) : next.value)
    },
    async cancel() {
      await iterator.return?.()
    },
  })
}
