import { json, type Reply } from '../exchange.js'
import type { Exchange, Route } from '../router.js'
import { version } from '../../version.js'

/** For whoever watches over the server. */
export const healthRoutes: readonly Route[] = [
  { method: 'GET', path: '/health', open: true, answer: health },
  { method: 'GET', path: '/ping', open: true, answer: health },
  { method: 'POST', path: '/ping', open: true, answer: health },
  { method: 'GET', path: '/version', open: true, answer: () => json(200, { version: version() }) },
  {
    method: 'GET',
    path: '/load',
    answer: ({ context }) => json(200, { server_load: context.gate.inside }),
  },
]

/** 200 when requests are answered, 503 otherwise. */
function health({ context }: Exchange): Reply {
  const { state } = context
  return json(state === 'ready' ? 200 : 503, { status: state })
}
