import type { Exchange, Route } from '../router.js'
import { checkQuery } from './page.js'

/** For whoever operates the server: vLLM's route. */
export const cacheRoutes: readonly Route[] = [
  { method: 'POST', path: '/reset_prefix_cache', answer: reset },
]

function reset({ context, incoming }: Exchange) {
  checkQuery(incoming.query, [])
  context.engine.resetPrefixCache()
  return { status: 200, headers: {}, body: null }
}
