import type { Api, Route } from '../router.js'
import { dashboardRoutes } from './dashboard.js'
import { embedRoutes } from './embed.js'
import { batchRoutes } from './batches.js'
import { cacheRoutes } from './cache.js'
import { generateRoutes } from './generate.js'
import { healthRoutes } from './health.js'
import { homeRoutes } from './home.js'
import { loraRoutes } from './loras.js'
import { messageRoutes, messagesApi } from './messages.js'
import { metricRoutes } from './metrics.js'
import { modelRoutes } from './models.js'
import { responseRoutes } from './responses.js'
import { tokenizeRoutes } from './tokenize.js'

/** All that is answered. */
export const routes: readonly Route[] = [
  ...generateRoutes,
  ...responseRoutes,
  ...messageRoutes,
  ...embedRoutes,
  ...tokenizeRoutes,
  ...batchRoutes,
  ...modelRoutes,
  ...loraRoutes,
  ...cacheRoutes,
  ...healthRoutes,
  ...metricRoutes,
  ...dashboardRoutes,
  ...homeRoutes,
]

/** Those that are not answered as OpenAI would. */
export const apis: readonly Api[] = [messagesApi]
