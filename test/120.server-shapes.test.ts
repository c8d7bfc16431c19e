import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toFile } from 'openai'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import type { z } from 'zod'
import { routes } from '../lib/server/routes/index.js'
import * as shapes from './support/openai-shapes.js'
import { TestServer } from './support/server.js'

// Every answer of every route of OpenAI's has OpenAI's shape, and no field besides that nobody named.

const folder = mkdtempSync(join(tmpdir(), 'octavo-shapes-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const server = await TestServer.start({ filesFolder: folder })
afterEach(() => server.settled())

/** Routes that were asked here. */
const asked = new Set<string>()

async function ask(method: string, path: string, body?: unknown): Promise<Response> {
  const known = routes.find(
    (route) =>
      route.method === method &&
      new RegExp(`^${route.path.replace(/:\w+\+?/, '[^/]+')}$`).test(path),
  )
  asked.add(`${method} ${known!.path}`)
  if (body instanceof FormData) return fetch(server.url + path, { method, body })
  const init = body === undefined ? {} : { body: JSON.stringify(body) }
  return fetch(server.url + path, { method, ...init })
}

async function read<T extends z.ZodType>(shape: T, method: string, path: string, body?: unknown) {
  const response = await ask(method, path, body)
  expect(response.headers.get('x-request-id')).toBeTruthy()
  expect(response.headers.get('content-type')).toContain('application/json')
  const answer: unknown = await response.json()
  expect(response.status, JSON.stringify(answer)).toBe(200)
  return shape.parse(answer)
}

/** The data of a stream's events; `named`: each event's name is its type. */
async function readEvents(path: string, body: object, { named = false } = {}): Promise<object[]> {
  const response = await ask('POST', path, { ...body, stream: true })
  expect(response.headers.get('content-type')).toContain('text/event-stream')
  const texts = (await response.text()).trimEnd().split('\n\n')
  if (!named) expect(texts.pop()).toBe('data: [DONE]')
  return texts.map((text) => {
    const [, name, data] = /^(?:event: (.+)\n)?data: (.+)$/.exec(text)!
    const event = JSON.parse(data!) as { type?: string }
    expect(name).toBe(named ? event.type : undefined)
    return event
  })
}

const messages = [{ role: 'user', content: 'What is the capital of France?' }]
const parameters = { type: 'object', properties: { city: { enum: ['Paris', 'Rome'] } } }
const tools = [{ type: 'function', function: { name: 'weather', parameters } }]

describe('completions', () => {
  test.each([
    { prompt: 'Once', max_tokens: 4 },
    { prompt: ['Once', [5, 6, 7]], max_tokens: 4, n: 2, logprobs: 2, seed: 1 },
    { prompt: 'Once', max_tokens: 3, echo: true, logprobs: 1 },
    { prompt: 'Once', max_tokens: 8, stop: [' '] },
  ])('%o', async (body) => {
    await read(shapes.completion, 'POST', '/v1/completions', body)
    const options = { stream_options: { include_usage: true } }
    const chunks = await readEvents('/v1/completions', { ...body, ...options })
    const parsed = chunks.map((chunk) => shapes.completionChunk.parse(chunk))
    expect(parsed.at(-1)!.usage).toBeTruthy()
  })
})

describe('chats', () => {
  test.each([
    { messages, temperature: 0 },
    { messages, n: 2, logprobs: true, top_logprobs: 3, max_completion_tokens: 4, seed: 1 },
    { messages, tools, tool_choice: 'required' },
    { messages, response_format: { type: 'json_object' }, max_tokens: 30 },
  ])('%o', async (body) => {
    await read(shapes.chat, 'POST', '/v1/chat/completions', body)
    for (const chunk of await readEvents('/v1/chat/completions', body))
      shapes.chatChunk.parse(chunk)
  })
})

describe('responses', () => {
  test.each([
    { input: 'Hi', instructions: 'Be kind.', metadata: { for: 'a test' }, temperature: 0 },
    { input: messages, max_output_tokens: 3, store: false },
    { input: 'Hi', include: ['message.output_text.logprobs'], top_logprobs: 2, temperature: 0 },
    { input: 'Hi', tools: [{ type: 'function', name: 'f', parameters }], tool_choice: 'required' },
  ])('%o', async (body) => {
    await read(shapes.response, 'POST', '/v1/responses', body)
    for (const event of await readEvents('/v1/responses', body, { named: true }))
      shapes.responseEvent.parse(event)
  })

  test('that are kept', async () => {
    const { id } = await read(shapes.response, 'POST', '/v1/responses', { input: 'Hi' })
    expect((await read(shapes.response, 'GET', `/v1/responses/${id}`)).id).toBe(id)
    await read(shapes.inputItems, 'GET', `/v1/responses/${id}/input_items`)
    await read(shapes.responseDeleted, 'DELETE', `/v1/responses/${id}`)
  })
})

test('embeddings', async () => {
  await read(shapes.embeddings, 'POST', '/v1/embeddings', { input: ['A cat.', 'A dog.'] })
})

test('models', async () => {
  await read(shapes.models, 'GET', '/v1/models')
  await read(shapes.model, 'GET', '/v1/models/demo')
})

test('files and batches', async () => {
  const request = {
    custom_id: 'a',
    method: 'POST',
    url: '/v1/completions',
    body: { prompt: 'One' },
  }
  const form = new FormData()
  form.set('purpose', 'batch')
  form.set('file', await toFile(Buffer.from(JSON.stringify(request)), 'in.jsonl'))
  const { id } = await read(shapes.file, 'POST', '/v1/files', form)
  await read(shapes.file, 'GET', `/v1/files/${id}`)
  await read(shapes.files, 'GET', '/v1/files')
  expect(await (await ask('GET', `/v1/files/${id}/content`)).json()).toEqual(request)
  const body = { input_file_id: id, endpoint: '/v1/completions', completion_window: '24h' }
  const batch = await read(shapes.batch, 'POST', '/v1/batches', body)
  const state = async () => (await read(shapes.batch, 'GET', `/v1/batches/${batch.id}`)).status
  while ((await state()) !== 'completed') await new Promise((resolve) => setTimeout(resolve, 10))
  await read(shapes.batches, 'GET', '/v1/batches')
  const late = await ask('POST', `/v1/batches/${batch.id}/cancel`)
  shapes.errorBody.parse(await late.json())
  await read(shapes.fileDeleted, 'DELETE', `/v1/files/${id}`)
})

test.each<[string, string, unknown, number]>([
  ['POST', '/v1/completions', { prompt: 'a', temperature: -1 }, 400],
  ['POST', '/v1/chat/completions', { messages: 5 }, 400],
  ['POST', '/v1/responses', {}, 400],
  ['POST', '/v1/embeddings', { input: 5 }, 400],
  ['POST', '/v1/completions', { prompt: 'a', model: 'other' }, 404],
  ['GET', '/v1/models/other', undefined, 404],
  ['GET', '/v1/files/file-0', undefined, 404],
  ['GET', '/v1/batches/batch-0', undefined, 404],
  ['GET', '/v1/responses/resp_0', undefined, 404],
])('errors: %s %s %o', async (method, path, body, status) => {
  const response = await ask(method, path, body)
  expect(response.status).toBe(status)
  shapes.errorBody.parse(await response.json())
})

test("all of OpenAI's routes were asked", () => {
  const others = /^\/v1\/(messages|score|rerank|(un)?load_lora_adapter)\b/
  const known = routes.filter(({ path }) => path.startsWith('/v1/') && !others.test(path))
  expect(known.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([...asked].sort())
})
