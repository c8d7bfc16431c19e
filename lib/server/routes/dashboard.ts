import { dashboardEvents, dashboardPage } from '../dashboard/dashboard.js'
import { eventStream } from '../event-stream.js'
import type { Reply } from '../exchange.js'
import { HttpError } from '../http-error.js'
import type { Exchange, Route } from '../router.js'

/** The page is open, as it holds nothing; what it shows needs a key where there are keys. */
export const dashboardRoutes: readonly Route[] = [
  { method: 'GET', path: '/dashboard', open: true, answer: page },
  { method: 'GET', path: '/dashboard/events', answer: events },
]

async function page(exchange: Exchange): Promise<Reply> {
  checkEnabled(exchange)
  const headers = { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-cache' }
  return { status: 200, headers, body: await dashboardPage() }
}

function events(exchange: Exchange): Promise<Reply> {
  checkEnabled(exchange)
  const { context, incoming } = exchange
  const watching = () => context.state === 'ready' && !incoming.signal.aborted
  return eventStream(dashboardEvents(context.engine, watching))
}

function checkEnabled({ context, incoming }: Exchange): void {
  if (context.config.dashboard) return
  throw new HttpError(404, `${incoming.path}: no such path`, { code: 'not_found' })
}
