import { version } from '../../version.js'
import { json, type Reply } from '../exchange.js'
import type { Exchange, Route } from '../router.js'

/** For whoever opens the server's address: browsers see the dashboard, all others what lies where. */
export const homeRoutes: readonly Route[] = [{ method: 'GET', path: '/', open: true, answer: home }]

function home({ context: { config }, incoming }: Exchange): Reply {
  const fromBrowser = incoming.header('accept')?.includes('text/html') ?? false
  // Relative, as a framework or a proxy may have taken away what the path began with.
  if (config.dashboard && fromBrowser)
    return { status: 302, headers: { location: 'dashboard', vary: 'accept' }, body: null }
  const at = (path: string) => config.basePath + path
  const places = { api: at('/v1'), health: at('/health'), metrics: at('/metrics') }
  const dashboard = config.dashboard && { dashboard: at('/dashboard') }
  return json(200, { name: 'octavo', version: version(), ...places, ...dashboard })
}
