import { outOfRange } from '../check.js'
import type { ServerContext } from './context.js'
import type { Incoming, Reply } from './exchange.js'
import { HttpError, type ErrorShape } from './http-error.js'
import type { RequestNotes } from './request-notes.js'

/** A request on its way to a route. */
export interface Exchange {
  readonly context: ServerContext
  readonly incoming: Incoming
  readonly notes: RequestNotes
  /** What stands in the path in place of `:name`, decoded. */
  readonly parameters: Readonly<Record<string, string>>
}

/** Throws RangeError where a field holds more than the server allows. */
export function checkMost(field: string, found: number, most: number): void {
  if (found > most) throw outOfRange(field, `at most ${most}`, found)
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Such as `/v1/files/:id`; what stands for `:id+` may have slashes. */
  readonly path: string
  /** Answered without an API key. */
  readonly open?: boolean
  readonly answer: (exchange: Exchange) => Reply | Promise<Reply>
}

/** An API beside OpenAI's, all of which lies below one path. */
export interface Api {
  readonly path: string
  readonly errorShape: ErrorShape
  /** Headers of each of its answers. */
  readonly headers: (requestId: string) => Reply['headers']
}

/** Whether a path is another one, or lies below it. */
export function isBelow(path: string, above: string): boolean {
  return `${path}/`.startsWith(`${above}/`)
}

/** A route and what its path's names stand for. */
export interface Match {
  readonly route: Route
  readonly parameters: Readonly<Record<string, string>>
}

/** Finds routes by method and path. */
export class Router {
  readonly #routes: readonly { readonly route: Route; readonly pattern: RegExp }[]

  constructor(routes: readonly Route[]) {
    this.#routes = routes.map((route) => ({ route, pattern: patternOf(route.path) }))
  }

  /** Throws HttpError 404 for a path that nobody answers, 405 for the wrong method. */
  match(method: string, path: string): Match {
    const wanted = method === 'HEAD' ? 'GET' : method
    const allowed: string[] = []
    for (const { route, pattern } of this.#routes) {
      const found = pattern.exec(path)
      if (found === null) continue
      if (route.method === wanted) return { route, parameters: decoded(found.groups ?? {}) }
      allowed.push(route.method)
    }
    if (allowed.length === 0)
      throw new HttpError(404, `${path}: no such path`, { code: 'not_found' })
    throw new HttpError(405, `${path}: expected ${allowed.join(' or ')}, found ${method}`, {
      code: 'method_not_allowed',
      headers: { allow: allowed.join(', ') },
    })
  }
}

/** Throws HttpError 404 for escapes that are none: there is nothing of such a name. */
function decoded(groups: Readonly<Record<string, string>>): Match['parameters'] {
  try {
    const pairs = Object.entries(groups).map(([name, text]) => [name, decodeURIComponent(text)])
    return Object.fromEntries(pairs) as Match['parameters']
  } catch (cause) {
    throw new HttpError(404, 'the path is not encoded as it should be', {
      code: 'not_found',
      cause,
    })
  }
}

function patternOf(path: string): RegExp {
  const named = (_: string, name: string, deep: string) => `(?<${name}>${deep ? '.' : '[^/]'}+)`
  return new RegExp(`^${path.replaceAll('.', '\\.').replace(/:(\w+)(\+?)/g, named)}$`)
}
