import { createServer } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { afterAll, afterEach, expect, test } from 'vitest'
import { answerClientError } from '../lib/server/index.js'
import { TestServer } from './support/server.js'

const server = await TestServer.start({ maxQueueLength: 2000, writeTimeout: 1 })
const port = Number(new URL(server.url).port)
const long = { prompt: 'Once', max_tokens: 400, ignore_eos: true, stream: true }
const short = { prompt: 'Once upon', max_tokens: 12, temperature: 0 }
const expected = await ask(short)

afterEach(async () => {
  await server.settled()
  expect(await ask(short)).toBe(expected)
})

async function ask(body: object): Promise<string> {
  const response = await server.post('/v1/completions', body)
  return ((await response.json()) as { choices: [{ text: string }] }).choices[0].text
}

/** A connection that has sent this much of a request. */
async function open(body: object, { to = port, share = 1 } = {}): Promise<Socket> {
  const socket = connect(to, '127.0.0.1').on('error', () => undefined)
  await new Promise((resolve) => socket.once('connect', resolve))
  const text = JSON.stringify(body)
  socket.write(`POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: ${text.length}\r\n\r\n`)
  socket.write(text.slice(0, share * text.length))
  return socket
}

const anything = (socket: Socket) => new Promise((resolve) => socket.once('data', resolve))

test('1,000 clients that vanish mid-stream free their blocks', async () => {
  const before = server.engine.stats().generatedTokens
  for (let round = 0; round < 10; round++) {
    const sockets = await Promise.all(Array.from({ length: 100 }, () => open(long)))
    await Promise.all(sockets.map(anything))
    for (const socket of sockets) socket.destroy()
    await server.settled()
  }
  // All of them had hundreds of tokens to come: they ended early.
  expect(server.engine.stats().generatedTokens - before).toBeLessThan(1000 * 200)
})

test('clients that vanish before an answer, or within their body', async () => {
  const shares = Array.from({ length: 200 }, (_, i) => (i % 4) / 3)
  const sockets = await Promise.all(shares.map((share) => open(long, { share })))
  for (const socket of sockets) socket.destroy()
})

test('a client that reads only after its whole body is told that it is too large', async () => {
  const socket = connect(port, '127.0.0.1')
  const head = `POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n`
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject).write(head + 'x'.repeat(20e6), () => resolve())
  })
  expect(String(await anything(socket))).toMatch(/^HTTP\/1.1 413 .*"code":"body_too_large"/s)
  socket.destroy()
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
  await anything(stopped)
  stopped.pause()
  expect(await ask(short)).toBe(expected)
  await server.settled()
  stopped.destroy()
})

test('slow readers get all of it', async () => {
  const body = { prompt: 'Once', max_tokens: 300, ignore_eos: true, n: 4, seed: 3 }
  const whole = (await (await server.post('/v1/completions', body)).json()) as Completion
  const streams = Array.from({ length: 4 }, async () => {
    const socket = await open({ ...body, stream: true })
    socket.setEncoding('utf8')
    let received = ''
    for await (const piece of socket) {
      received += piece as string
      if (received.endsWith('data: [DONE]\n\n\r\n0\r\n\r\n')) break
      await new Promise((resolve) => setTimeout(resolve, 3))
    }
    const chunks = [...received.matchAll(/^data: (\{.*)$/gm)].flatMap(
      ([, chunk]) => (JSON.parse(chunk!) as Completion).choices,
    )
    for (const { index, text } of whole.choices) {
      const pieces = chunks.filter((choice) => choice.index === index)
      expect(pieces.map((choice) => choice.text).join('')).toBe(text)
    }
  })
  await Promise.all(streams)
})

interface Completion {
  readonly choices: readonly { readonly index: number; readonly text: string }[]
}

/** A server that waits for a request no longer than this, in milliseconds. */
const hasty = createServer({ requestTimeout: 100, connectionsCheckingInterval: 20 })
  .on('request', (request, response) => server.server.emit('request', request, response))
  .on('clientError', answerClientError)
await new Promise<void>((resolve) => hasty.listen(0, '127.0.0.1', resolve))
afterAll(() => hasty.close())
const to = (hasty.address() as AddressInfo).port

/** Everything that is answered on a connection until it ends. */
async function answerOf(socket: Socket) {
  socket.setEncoding('utf8')
  let text = ''
  for await (const piece of socket) text += piece as string
  const [head = '', body = ''] = text.split('\r\n\r\n')
  return { status: Number(head.split(' ')[1]), body: JSON.parse(body) as unknown }
}

const invalid = (message: RegExp) => ({
  error: {
    message: expect.stringMatching(message) as string,
    type: 'invalid_request_error',
    param: null,
    code: 'invalid_http',
  },
})

test('a body that does not come whole is not waited for', async () => {
  const answer = await answerOf(await open(short, { to, share: 0.5 }))
  expect(answer).toEqual({ status: 408, body: invalid(/in time/) })
})

test.each([
  ['no HTTP', 'Hello?\r\n\r\n', 400],
  ['headers beyond all measure', `GET / HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 431],
  ['two lengths', 'POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 400],
])('%s', async (_, bytes, status) => {
  const socket = connect(to, '127.0.0.1')
  socket.write(bytes)
  expect(await answerOf(socket)).toEqual({ status, body: invalid(/./) })
})
