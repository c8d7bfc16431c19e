import { createHash, timingSafeEqual } from 'node:crypto'
import type { Incoming, Reply } from './exchange.js'
import { HttpError } from './http-error.js'

/** Checks the API keys of requests, in a time that does not depend on how much of a key is right. */
export class ApiKeys {
  readonly #digests: readonly Buffer[]

  constructor(keys: readonly string[]) {
    this.#digests = keys.map(digest)
  }

  /** Throws HttpError 401 unless the request brings a key in one of its headers, or none is asked for. */
  check({ header }: Incoming): void {
    if (this.#digests.length === 0) return
    const [, bearer] = /^Bearer (.+)$/i.exec(header('authorization') ?? '') ?? []
    const given = [bearer, header('x-api-key')].filter((key) => key != null)
    if (given.some((key) => this.#has(digest(key)))) return
    const message =
      given.length === 0
        ? 'Authorization: expected "Bearer" and an API key, or the key as x-api-key, found none'
        : 'Authorization: the API key is not known'
    throw new HttpError(401, message, {
      type: 'authentication_error',
      code: 'invalid_api_key',
      headers: { 'www-authenticate': 'Bearer' },
    })
  }

  /** All are compared, whichever fits. */
  #has(given: Buffer): boolean {
    return this.#digests.map((known) => timingSafeEqual(known, given)).includes(true)
  }
}

/** Keys of any length become digests of one length. */
function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}

/** Headers by which a browser lets pages of other origins read an answer. */
export function corsHeaders({ header }: Incoming, allowed: readonly string[]): Reply['headers'] {
  const origin = header('origin')
  if (origin === null) return {}
  if (allowed.includes('*')) return { 'access-control-allow-origin': '*', ...EXPOSED }
  if (!allowed.includes(origin)) return {}
  return { 'access-control-allow-origin': origin, vary: 'Origin', ...EXPOSED }
}

const EXPOSED = { 'access-control-expose-headers': 'x-request-id, request-id, retry-after' }

/** What a browser is told before it asks for something. */
export function preflightReply(incoming: Incoming, allowed: readonly string[]): Reply {
  const cors = corsHeaders(incoming, allowed)
  const granted = 'access-control-allow-origin' in cors
  return {
    status: 204,
    headers: {
      ...cors,
      ...(granted && {
        'access-control-allow-methods': 'GET, POST, DELETE',
        'access-control-allow-headers': incoming.header('access-control-request-headers') ?? '*',
        'access-control-max-age': '86400',
      }),
    },
    body: null,
  }
}
