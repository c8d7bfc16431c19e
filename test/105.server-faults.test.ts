import { connect, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import { TestServer } from './support/server.js'

const server = await TestServer.start({ maxQueueLength: 2000, writeTimeout: 1 })
const port = Number(new URL(server.url).port)
const answerShape = z.union([
  z.looseObject({ object: z.enum(['text_completion', 'chat.completion']) }),
  z.strictObject({
    error: z.strictObject({
      message: z.string().min(1),
      type: z.literal('invalid_request_error'),
      param: z.string().nullable(),
      code: z.string().nullable(),
    }),
  }),
])

afterEach(() => server.settled())

const open = async (body: object): Promise<Socket> => {
  const socket = connect(port, '127.0.0.1')
  await new Promise((resolve) => socket.once('connect', resolve))
  const text = JSON.stringify(body)
  socket.write(`POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: ${text.length}\r\n\r\n`)
  socket.write(text)
  return socket
}
const long = { prompt: 'Once', max_tokens: 400, ignore_eos: true, stream: true }

test('clients that vanish mid-stream free their blocks', async () => {
  for (let round = 0; round < 4; round++) {
    const sockets = await Promise.all(Array.from({ length: 25 }, () => open(long)))
    await Promise.all(
      sockets.map((socket) => new Promise((resolve) => socket.once('data', resolve))),
    )
    for (const socket of sockets) socket.destroy()
    const before = server.engine.stats().generatedTokens
    await server.settled()
    // All of them had hundreds of tokens to come: they ended early.
    expect(server.engine.stats().generatedTokens - before).toBeLessThan(25 * 200)
  }
})

test('a client that aborts by a signal', async () => {
  const abort = new AbortController()
  const stream = await server.client.completions.create(
    { model: 'demo', prompt: 'Once', max_tokens: 400, stream: true },
    { signal: abort.signal },
  )
  let chunks = 0
  for await (const _ of stream) if (++chunks === 3) abort.abort()
  expect(chunks).toBeLessThan(400)
})

test('a reader that stops holds up nobody, and is left in time', async () => {
  const stopped = await open({ ...long, n: 64, logprobs: 20 })
  await new Promise((resolve) => stopped.once('data', resolve))
  stopped.pause()
  const other = await server.post('/v1/completions', { prompt: 'Once', max_tokens: 4 })
  expect(other.status).toBe(200)
  await server.settled()
  stopped.destroy()
})

const junk = fc.oneof(
  fc.jsonValue(),
  fc.integer({ min: -5, max: 50 }),
  fc.constantFrom('', 'Once', true, 1e300, -0.5, [], {}),
)
const field = fc.constantFrom(
  ...['prompt', 'messages', 'model', 'max_tokens', 'temperature', 'top_p', 'top_k', 'n', 'stop'],
  ...['seed', 'logprobs', 'top_logprobs', 'logit_bias', 'echo', 'stream_options', 'tools'],
  ...['tool_choice', 'response_format', 'min_tokens', 'bad_words', 'best_of', 'use_beam_search'],
  ...['cache_salt', 'prompt_logprobs', 'chat_template_kwargs', 'documents', '__proto__'],
)
const messages = fc.constant([{ role: 'user', content: 'Hi' }])
const path = fc.constantFrom('/v1/completions', '/v1/chat/completions')

test('any body is answered, or refused in the shape of OpenAI', { timeout: 60_000 }, async () => {
  const body = fc.dictionary(field, junk, { maxKeys: 4 })
  await fc.assert(
    fc.asyncProperty(path, body, messages, fc.boolean(), async (to, fields, chat, valid) => {
      const base = to === '/v1/completions' ? { prompt: 'Once' } : { messages: chat }
      const given = { max_tokens: 2, ...(valid ? base : {}), ...fields }
      const limited = typeof given.max_tokens === 'number' ? { max_tokens: 2 } : {}
      const response = await server.post(to, { ...given, ...limited })
      expect(response.status, JSON.stringify(given)).toBeLessThan(500)
      answerShape.parse(await response.json())
    }),
    { numRuns: process.env.OCTAVO_FULL ? 10_000 : 300 },
  )
})
