import type { Route } from '../router.js'

/** For Prometheus, and for the routers that read vLLM's metrics. */
export const metricRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/metrics',
    open: true,
    answer: async ({ context: { metrics } }) => ({
      status: 200,
      headers: { 'content-type': metrics.contentType },
      body: await metrics.read(),
    }),
  },
]
