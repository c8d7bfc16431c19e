import { answerResponse, streamResponse, type ResponseCall } from '../../openai/responses/answer.js'
import { parseResponsesRequest } from '../../openai/responses/request.js'
import type { Item } from '../../openai/responses/items.js'
import type { ResponseStore, StoredResponse } from '../../openai/responses/store.js'
import { answering } from '../answering.js'
import { eventsOf, eventStream } from '../event-stream.js'
import { json, type Reply } from '../exchange.js'
import { HttpError } from '../http-error.js'
import { readJson } from '../read-body.js'
import { type Exchange, type Route } from '../router.js'
import { checkQuery, pageOf } from './page.js'

/** OpenAI's Responses: made, kept and forgotten. */
export const responseRoutes: readonly Route[] = [
  { method: 'POST', path: '/v1/responses', answer: respond },
  { method: 'GET', path: '/v1/responses/:id', answer: retrieve },
  { method: 'GET', path: '/v1/responses/:id/input_items', answer: inputItems },
  { method: 'DELETE', path: '/v1/responses/:id', answer: forget },
]

async function respond(exchange: Exchange): Promise<Reply> {
  const { context, incoming } = exchange
  const { config, pace, responses } = context
  const asked = parseResponsesRequest(await readJson(incoming, config.maxBodyBytes))
  const store = asked.store && config.maxStoredResponses > 0
  const items = asked.items.map((item, i) =>
    item.type === 'item_reference' ? findItem(responses, item.id, `input[${i}]`) : item,
  )
  const request = { ...asked, items, store, echoed: { ...asked.echoed, store } }
  const { engine, model, call: options } = answering(exchange, request.model)
  const call: ResponseCall = {
    request,
    previous: request.previousId === null ? null : find(context.responses, request.previousId),
    model,
    options,
    onEnd: (response) => responses.add(response),
  }
  if (!request.stream) return json(200, await answerResponse(engine, call))
  return eventStream(eventsOf(streamResponse(engine, call), pace))
}

function retrieve(exchange: Exchange): Reply {
  checkQuery(exchange.incoming.query, [])
  return json(200, storedOf(exchange).body)
}

function inputItems(exchange: Exchange): Reply {
  return json(200, pageOf(storedOf(exchange).input.toReversed(), exchange.incoming.query))
}

function forget(exchange: Exchange): Reply {
  const { id } = storedOf(exchange).body
  exchange.context.responses.delete(id)
  return json(200, { id, object: 'response', deleted: true })
}

function storedOf({ context, parameters }: Exchange): StoredResponse {
  return find(context.responses, parameters.id ?? '', 'id')
}

function findItem(responses: ResponseStore, id: unknown, param: string): Item {
  const found = responses.item(id)
  if (found !== null) return found
  const message = `${param}: no item ${JSON.stringify(id)} of a response that is kept`
  throw new HttpError(404, message, { code: 'not_found', param })
}

function find(
  responses: ResponseStore,
  id: string,
  param = 'previous_response_id',
): StoredResponse {
  const found = responses.get(id)
  if (found !== null) return found
  throw new HttpError(404, `${param}: no response "${id}" is kept; the last ones made are`, {
    code: param === 'id' ? 'not_found' : 'previous_response_not_found',
    param,
  })
}
