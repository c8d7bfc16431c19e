import type { Route } from '../router.js'
import { generateRoutes } from './generate.js'
import { healthRoutes } from './health.js'
import { modelRoutes } from './models.js'

/** All that is answered. */
export const routes: readonly Route[] = [...generateRoutes, ...modelRoutes, ...healthRoutes]
