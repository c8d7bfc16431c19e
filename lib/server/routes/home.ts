import { version } from '../../version.js'
import { json, type Reply } from '../exchange.js'
import type { Exchange, Route } from '../router.js'

/** For whoever opens the server's address: browsers see the dashboard, all others what lies where. */
export const homeRoutes: readonly Route[] = [{ method: 'GET', path: '/', open: true, answer: home }]

function home({ context: { config }, incoming }: Exchange): Reply {
  const fromBrowser = incoming.header('accept')?.includes('text/html') ?? false
  if (config.dashboard && fromBrowser) {
    const location = dashboardFrom(incoming.clientPath)
    return { status: 302, headers: { location, vary: 'accept' }, body: null }
  }
  const at = (path: string) => config.basePath + path
  const places = { api: at('/v1'), health: at('/health'), metrics: at('/metrics') }
  const dashboard = config.dashboard && { dashboard: at('/dashboard') }
  return json(200, { name: 'octavo', version: version(), ...places, ...dashboard })
}

/** Relative to the path, which may lack its last slash: what a proxy took away before it is not known. */
function dashboardFrom(path: string): string {
  const last = path.slice(path.lastIndexOf('/') + 1)
  return last === '' ? 'dashboard' : `./${last}/dashboard`
}
