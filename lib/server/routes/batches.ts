import { createReadStream } from 'node:fs'
import { checkText, outOfRange } from '../../check.js'
import { checkBatchEndpoint } from '../../openai/batch-request.js'
import { readFields } from '../../openai/request.js'
import { json, type Reply } from '../exchange.js'
import type { BatchStore } from '../files/batch-store.js'
import { storeUpload } from '../files/upload.js'
import { HttpError } from '../http-error.js'
import { readJson } from '../read-body.js'
import type { Exchange, Route } from '../router.js'
import { pageOf } from './page.js'

type Use = (store: BatchStore, exchange: Exchange, id: string) => Promise<unknown>

/** Files of requests, and batches that answer them. */
export const batchRoutes: readonly Route[] = [
  route('POST', '/v1/files', async ({ files }, { incoming, context }) =>
    files.get(await storeUpload(incoming, files, context.config.maxFileBytes)),
  ),
  route('GET', '/v1/files', async ({ files }, { incoming }) => {
    const { purpose, others } = takePurpose(incoming.query)
    const all = await files.list()
    return pageOf(purpose === null ? all : all.filter((file) => file.purpose === purpose), others)
  }),
  route('GET', '/v1/files/:id', ({ files }, _, id) => files.get(id)),
  route('DELETE', '/v1/files/:id', async ({ files }, _, id) => {
    await files.delete(id)
    return { id, object: 'file', deleted: true }
  }),
  { method: 'GET', path: '/v1/files/:id/content', answer: fileContent },
  route('POST', '/v1/batches', createBatch),
  route('GET', '/v1/batches', async (store, { incoming }) =>
    pageOf(await store.list(), incoming.query),
  ),
  route('GET', '/v1/batches/:id', (store, _, id) => store.get(id)),
  route('POST', '/v1/batches/:id/cancel', (store, _, id) => store.cancel(id)),
]

function route(method: Route['method'], path: string, use: Use): Route {
  const answer = async (exchange: Exchange) =>
    json(200, await use(storeOf(exchange), exchange, exchange.parameters.id ?? ''))
  return { method, path, answer }
}

const BATCH_FIELDS = new Set(['input_file_id', 'endpoint', 'completion_window', 'metadata'])

async function createBatch(store: BatchStore, { incoming, context }: Exchange): Promise<object> {
  const given = await readJson(incoming, context.config.maxBodyBytes)
  const body = readFields(given, '/v1/batches', BATCH_FIELDS)
  const { completion_window: window = '24h', metadata = null } = body
  const endpoint = checkBatchEndpoint('endpoint', body.endpoint)
  if (window !== '24h') throw outOfRange('completion_window', '"24h"', window)
  const inputFileId = checkText('input_file_id', body.input_file_id)
  return store.create({ inputFileId, endpoint, metadata })
}

async function fileContent(exchange: Exchange): Promise<Reply> {
  const { files } = storeOf(exchange)
  const { id } = await files.get(exchange.parameters.id ?? '')
  const headers = { 'content-type': 'application/octet-stream' }
  return { status: 200, headers, body: createReadStream(files.pathOf(id)) }
}

function storeOf({ context }: Exchange): BatchStore {
  if (context.batches !== null) return context.batches
  throw new HttpError(404, 'the batch API is off: it needs filesFolder', { code: 'not_found' })
}

function takePurpose(query: URLSearchParams) {
  const others = new URLSearchParams(query)
  others.delete('purpose')
  return { purpose: query.get('purpose'), others }
}
