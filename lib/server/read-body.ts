import { HttpError } from './http-error.js'
import type { Incoming } from './exchange.js'

/** The bytes of a body. Throws HttpError 413 as soon as there are more than `limit`. */
async function readBody(incoming: Incoming, limit: number): Promise<Buffer> {
  if (Number(incoming.header('content-length') ?? 0) > limit) throw tooLarge(limit)
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of whole(unread(incoming))) {
    size += chunk.length
    if (size > limit) throw tooLarge(limit)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** A client that leaves within its body is no failure of the server. */
async function* whole(body: Incoming['body']): AsyncGenerator<Uint8Array, void, undefined> {
  if (body === null) return
  const iterator = body[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await iterator.next().catch((cause: unknown) => {
        throw new HttpError(400, 'body: expected more than was sent', {
          code: 'incomplete_body',
          cause,
        })
      })
      if (next.done === true) return
      yield next.value
    }
  } finally {
    await iterator.return?.()
  }
}

/** A body of JSON. Throws HttpError 400 for what is not UTF-8 or not JSON, 413 for too much of it. */
export async function readJson(incoming: Incoming, limit: number): Promise<unknown> {
  const bytes = await readBody(incoming, limit)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new HttpError(400, 'body: expected UTF-8', { code: 'invalid_utf8' })
  }
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    const message = `body: expected JSON: ${(error as Error).message}`
    throw new HttpError(400, message, { code: 'invalid_json' })
  }
}

/** A body as nobody has read it. Throws HttpError 500 for another one: a program's mistake, no client's. */
export function unread({ body, bodyUsed }: Incoming): Incoming['body'] {
  if (!bodyUsed) return body
  const message =
    'body: was read before it came here; mount Octavo before what reads it, such as express.json()'
  throw new HttpError(500, message, { type: 'server_error', code: 'body_already_read' })
}

function tooLarge(limit: number): HttpError {
  return new HttpError(413, `body: expected at most ${limit} bytes (maxBodyBytes), found more`, {
    code: 'body_too_large',
  })
}
