import { describe, expect, test } from 'vitest'
import { createHandler, type RequestLogEntry } from '../lib/server/index.js'
import { fromRequest } from '../lib/server/web.js'
import { TestServer } from './support/server.js'

const server = await TestServer.start()
const log: RequestLogEntry[] = []
const handler = createHandler(server.engine, { onRequest: (entry) => log.push(entry) })
const requestOf = (path: string, body: object, headers: Record<string, string> = {}) =>
  new Request(`http://x${path}`, { method: 'POST', headers, body: JSON.stringify(body) })

/** The answer to a request, read to its end, and its line in the log. */
async function ask(path: string, body: object, headers: Record<string, string> = {}) {
  const response = await handler(requestOf(path, body, headers))
  const text = await response.text()
  return { response, text, entry: log.at(-1)! }
}

const messages = [{ role: 'user', content: 'Hi' }]
const three = { max_tokens: 3, ignore_eos: true }

describe('the line of a request', () => {
  test.each<[string, object]>([
    ['/v1/completions', { prompt: 'Once upon a time', ...three }],
    ['/v1/chat/completions', { messages, ...three }],
    ['/v1/responses', { input: 'Hi', max_output_tokens: 3, ignore_eos: true }],
  ])('of %s counts its tokens, whole and streamed', async (path, body) => {
    const whole = await ask(path, body)
    const { usage } = JSON.parse(whole.text) as { usage: Record<string, number> }
    const facts = {
      ...{ path, status: 200, model: 'demo', outputTokens: 3, finishReasons: ['length'] },
      promptTokens: usage.prompt_tokens ?? usage.input_tokens,
    }
    expect(whole.entry).toMatchObject(facts)
    expect((await ask(path, { ...body, stream: true })).entry).toMatchObject(facts)
  })

  test('of several prompts and outputs sums up', async () => {
    const body = { prompt: [[5, 6], [7]], n: 2, max_tokens: 2, ignore_eos: true }
    const facts = { promptTokens: 3, outputTokens: 8, finishReasons: Array(4).fill('length') }
    expect((await ask('/v1/completions', body)).entry).toMatchObject(facts)
    expect((await ask('/v1/completions', { ...body, stream: true })).entry).toMatchObject(facts)
  })

  test('of a prompt that is scored alone counts what the answer does', async () => {
    const body = { prompt: 'Once', echo: true, max_tokens: 0 }
    const whole = await ask('/v1/completions', body)
    const { usage, choices } = JSON.parse(whole.text) as {
      usage: { completion_tokens: number }
      choices: { finish_reason: string }[]
    }
    const facts = {
      outputTokens: usage.completion_tokens,
      finishReasons: choices.map(({ finish_reason }) => finish_reason),
    }
    expect(facts).toEqual({ outputTokens: 0, finishReasons: ['length'] })
    expect(whole.entry).toMatchObject(facts)
    expect((await ask('/v1/completions', { ...body, stream: true })).entry).toMatchObject(facts)
  })

  test('of embeddings has no outputs', async () => {
    const { entry } = await ask('/v1/embeddings', { input: [[5, 6], [7]] })
    expect(entry).toMatchObject({ promptTokens: 3, outputTokens: 0, finishReasons: [] })
  })

  test('of a stream that its reader leaves tells of what there was', async () => {
    const body = { prompt: 'Once', max_tokens: 500, ignore_eos: true, stream: true }
    const reply = await handler.answer(fromRequest(requestOf('/v1/completions', body)))
    const pieces = (reply.body as AsyncIterable<string>)[Symbol.asyncIterator]()
    await pieces.next()
    await pieces.return!()
    const { outputTokens, finishReasons } = log.at(-1)!
    expect(finishReasons).toEqual(['abort'])
    expect(outputTokens).toBeGreaterThan(0)
    await server.settled()
  })

  test('of what is refused has what was known', async () => {
    const { entry } = await ask('/v1/completions', { prompt: 'a', temperature: -1 })
    expect(entry).toMatchObject({ status: 400, model: 'demo' })
    expect(entry).not.toHaveProperty('promptTokens')
    const other = await ask('/v1/completions', { prompt: 'a', model: 'other' })
    expect(other.entry).not.toHaveProperty('model')
  })
})

test.each<[string, string, object]>([
  ['/v1/completions', 'cmpl-', { prompt: 'Once', max_tokens: 1 }],
  ['/v1/chat/completions', 'chatcmpl-', { messages, max_tokens: 1 }],
])('the id of %s is that of the request', async (path, prefix, body) => {
  const named = await ask(path, body, { 'x-request-id': 'r-1' })
  expect(JSON.parse(named.text)).toMatchObject({ id: `${prefix}r-1` })
  const { text, response, entry } = await ask(path, body)
  const id = response.headers.get('x-request-id')!
  expect(JSON.parse(text)).toMatchObject({ id: prefix + id })
  expect(entry.requestId).toBe(id)
  const asked = await ask(path, { ...body, request_id: 'r-2' })
  expect(JSON.parse(asked.text)).toMatchObject({ id: `${prefix}r-2` })
  expect([asked.response.headers.get('x-request-id'), asked.entry.requestId]).toEqual([
    'r-2',
    'r-2',
  ])
  const both = await ask(path, { ...body, request_id: 'r-2' }, { 'x-request-id': 'r-1' })
  expect(JSON.parse(both.text)).toMatchObject({ id: `${prefix}r-1` })
  const refused = await ask(path, { ...body, request_id: 'a\nb' })
  expect(JSON.parse(refused.text)).toMatchObject({ error: { param: 'request_id' } })
})
