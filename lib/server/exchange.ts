/** A request as every adapter hands it in. */
export interface Incoming {
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** The same as the client wrote it: a framework may have taken away what it began with. */
  readonly clientPath: string
  readonly query: URLSearchParams
  /** By its name in lower case. */
  readonly header: (name: string) => string | null
  readonly body: AsyncIterable<Uint8Array> | null
  /** Somebody has read the body before. */
  readonly bodyUsed: boolean
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal
}

/** What a request is answered. A body of pieces is written as they come. */
export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array | AsyncIterable<string | Uint8Array> | null
}

/** An answer of JSON. */
export function json(status: number, value: unknown, headers: Reply['headers'] = {}): Reply {
  return {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(value),
  }
}

/** Whether a body comes in pieces, rather than whole. */
export function isStreamed(body: Reply['body']): body is AsyncIterable<string | Uint8Array> {
  return body !== null && typeof body === 'object' && Symbol.asyncIterator in body
}
