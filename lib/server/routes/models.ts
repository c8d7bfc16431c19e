import { json } from '../exchange.js'
import type { ServerContext } from '../context.js'
import type { Route } from '../router.js'

/** Which models are served: the engine's own by each of its names, and its adapters. */
export const modelRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/models',
    answer: ({ context }) => {
      const { names, adapters } = context.models
      const all = [...names, ...adapters.map(({ loraName }) => loraName)]
      const data = all.map((name) => modelBody(context, name))
      return json(200, { object: 'list', data })
    },
  },
  {
    method: 'GET',
    path: '/v1/models/:id+',
    answer: ({ context, parameters: { id = '' } }) => json(200, modelBody(context, id)),
  },
]

/** OpenAI's fields, then vLLM's further ones. Throws UnknownModelError for a model that is not served. */
function modelBody({ engine, models, startTime }: ServerContext, id: string) {
  const { loraRequest: adapter } = models.find(id).call
  return {
    id,
    object: 'model',
    created: startTime,
    owned_by: 'octavo',
    root: adapter ? adapter.loraPath : engine.model,
    parent: adapter ? models.names[0] : null,
    max_model_len: engine.maxModelLen,
  }
}
