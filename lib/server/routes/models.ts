import { checkServedModel } from '../../openai/request.js'
import { json } from '../exchange.js'
import type { ServerContext } from '../context.js'
import type { Route } from '../router.js'

/** Which models are served. */
export const modelRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/models',
    answer: ({ context }) => {
      const data = context.modelNames.map((name) => modelBody(context, name))
      return json(200, { object: 'list', data })
    },
  },
  {
    method: 'GET',
    path: '/v1/models/:id+',
    answer: ({ context, parameters: { id = '' } }) => {
      checkServedModel(id, context.modelNames)
      return json(200, modelBody(context, id))
    },
  },
]

/** OpenAI's fields, then vLLM's further ones. */
function modelBody({ engine, startTime }: ServerContext, id: string) {
  return {
    id,
    object: 'model',
    created: startTime,
    owned_by: 'octavo',
    root: engine.model,
    parent: null,
    max_model_len: engine.maxModelLen,
  }
}
