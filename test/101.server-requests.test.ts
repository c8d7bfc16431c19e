import { createServer, type ServerResponse } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import OpenAI from 'openai'
import { Registry } from 'prom-client'
import { z } from 'zod'
import { LLMEngine } from '../lib/index.js'
import { createHandler, toNodeListener, type Handler } from '../lib/server/index.js'
import { showEngine } from '../lib/server/metrics/engine-metrics.js'
import { fromRequest } from '../lib/server/web.js'
import { version } from '../lib/version.js'
import { TestServer } from './support/server.js'

const server = await TestServer.start(
  {
    apiKeys: ['secret', 'other secret'],
    allowedOrigins: ['https://app.example'],
    maxBodyBytes: 20_000,
    maxQueueLength: 2,
    maxN: 4,
    maxPrompts: 3,
  },
  { maxNumSeqs: 2 },
)
const { url } = server
const authorization = 'Bearer secret'
const error = z.strictObject({
  error: z.strictObject({
    message: z.string().min(1),
    type: z.enum([
      'invalid_request_error',
      'authentication_error',
      'rate_limit_error',
      'server_error',
    ]),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
})

const ask = (path: string, init: RequestInit = {}) =>
  fetch(url + path, {
    ...init,
    headers: { authorization, ...(init.headers as Record<string, string> | undefined) },
  })
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  ask(path, {
    method: 'POST',
    headers,
    body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
  })
const completion = { prompt: 'Once', max_tokens: 2 }

/** The status and the error of an answer that must be one. */
const refusal = async (response: Response) => {
  const body = error.parse(await response.json())
  return { status: response.status, ...body.error }
}

afterEach(() => server.settled())

describe('who may ask', () => {
  test.each(['Bearer secret', 'bearer other secret'])('%s', async (key) => {
    const response = await ask('/v1/models', { headers: { authorization: key } })
    expect(response.status).toBe(200)
  })
  test.each(['', 'Bearer', 'Bearer secre', 'Bearer secrets', 'Basic secret'])(
    'not %j',
    async (key) => {
      const response = await ask('/v1/models', { headers: { authorization: key } })
      expect(await refusal(response)).toMatchObject({
        status: 401,
        type: 'authentication_error',
        code: 'invalid_api_key',
      })
    },
  )
  test.each([
    ['Bearer wrong', 'secret', 200],
    ['Bearer secret', 'wrong', 200],
    ['Bearer wrong', 'wrong', 401],
  ])('%s beside x-api-key %s: %i', async (key, apiKey, status) => {
    const headers = { authorization: key, 'x-api-key': apiKey }
    expect((await ask('/v1/models', { headers })).status).toBe(status)
  })
  test('whoever watches over the server needs no key', async () => {
    for (const path of ['/', '/health', '/ping', '/version', '/metrics']) {
      expect((await fetch(url + path)).status).toBe(200)
    }
  })
  test('pages of the allowed origins', async () => {
    const origin = 'https://app.example'
    const preflight = await fetch(`${url}/v1/models`, { method: 'OPTIONS', headers: { origin } })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('access-control-allow-origin')).toBe(origin)
    expect(preflight.headers.get('access-control-allow-methods')).toContain('POST')
    const answer = await ask('/v1/models', { headers: { origin } })
    const exposed = answer.headers.get('access-control-expose-headers')!.split(', ')
    expect(exposed).toEqual(expect.arrayContaining(['x-request-id', 'request-id', 'retry-after']))
    const other = await ask('/v1/models', { headers: { origin: 'https://evil.example' } })
    expect(other.headers.has('access-control-allow-origin')).toBe(false)
  })
})

describe('what is refused', () => {
  test.each([
    ['/v2/models', 404, null],
    ['/v1/models/none', 404, 'model'],
    ['/v1/models/%zz', 404, null],
  ])('GET %s', async (path, status, param) => {
    expect(await refusal(await ask(path))).toMatchObject({ status, param })
  })
  test('the wrong method', async () => {
    const response = await ask('/v1/completions')
    expect(response.headers.get('allow')).toBe('POST')
    expect(await refusal(response)).toMatchObject({ status: 405 })
  })
  test.each<[string, unknown, number, object]>([
    ['no JSON', '{"prompt": ', 400, { code: 'invalid_json' }],
    ['no UTF-8', new Uint8Array([0x7b, 0xff, 0x7d]), 400, { code: 'invalid_utf8' }],
    ['nothing', '', 400, { code: 'invalid_json' }],
    ['no object', '[]', 400, { param: 'body' }],
    ['too much', JSON.stringify({ prompt: 'x'.repeat(20_000) }), 413, { code: 'body_too_large' }],
    [
      'a prompt that is too long',
      { prompt: Array<number>(3000).fill(5) },
      400,
      { code: 'context_length_exceeded' },
    ],
    ['another model', { ...completion, model: 'gpt' }, 404, { code: 'model_not_found' }],
    ['a misspelled field', { ...completion, temprature: 1 }, 400, { param: 'temprature' }],
    ['a value out of range', { ...completion, top_p: 2 }, 400, { param: 'top_p' }],
    ['too many outputs', { ...completion, n: 5 }, 400, { param: 'n' }],
    ['too many prompts', { ...completion, prompt: ['', '', '', ''] }, 400, { param: 'prompt' }],
    ['too many logprobs', { ...completion, logprobs: 21 }, 400, { param: 'logprobs' }],
    ['too long a prompt', { prompt: 'word '.repeat(3000) }, 400, { param: 'prompt' }],
    ['an unknown token', { prompt: [99_999_999] }, 400, {}],
    ['a stream that cannot begin', { ...completion, stream: true, prompt: [-1] }, 400, {}],
  ])('%s', async (_, body, status, expected) => {
    const response = await post('/v1/completions', body)
    expect(await refusal(response)).toMatchObject({ status, ...expected })
  })

  test('OpenAI’s client throws its own errors', async () => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'wrong', maxRetries: 0 })
    await expect(client.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError)
    const known = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'secret', maxRetries: 0 })
    const request = known.completions.create({ model: 'demo', prompt: 'x', temperature: -1 })
    await expect(request).rejects.toBeInstanceOf(OpenAI.BadRequestError)
  })

  test('more requests than may wait, with a time to ask again', async () => {
    const long = { prompt: 'Once', max_tokens: 100, ignore_eos: true }
    const responses = await Promise.all(
      Array.from({ length: 12 }, () => post('/v1/completions', long)),
    )
    const full = responses.filter(({ status }) => status === 429)
    expect(responses.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(4)
    expect(full.length).toBeGreaterThan(0)
    expect(full[0]?.headers.get('retry-after')).toBe('1')
    expect(await refusal(full[0]!)).toMatchObject({ type: 'rate_limit_error', code: 'queue_full' })
    await Promise.all(responses.filter((each) => each !== full[0]).map((each) => each.text()))
  })
})

describe('the address itself', () => {
  const html = { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } }
  const places = { api: '/v1', health: '/health', metrics: '/metrics' }
  const open = (handler: Handler, path = '/', init?: RequestInit) =>
    handler(new Request(`http://localhost${path}`, init))

  test('leads browsers to the dashboard, below any path', async () => {
    const response = await fetch(`${url}/`, html)
    expect([response.status, response.url]).toEqual([200, `${url}/dashboard`])
    expect(await response.text()).toContain('<title>Octavo')
    const below = await open(createHandler(server.engine, { basePath: '/llm' }), '/llm/', html)
    expect([below.status, below.headers.get('location')]).toEqual([302, 'dashboard'])
  })
  test('tells others what lies where', async () => {
    const response = await fetch(`${url}/`)
    const common = { name: 'octavo', version: version() }
    expect(await response.json()).toEqual({ ...common, ...places, dashboard: '/dashboard' })
    const below = await open(createHandler(server.engine, { basePath: '/llm' }), '/llm/')
    expect(await below.json()).toMatchObject({ api: '/llm/v1', health: '/llm/health' })
  })
  test('tells browsers too, where there is no dashboard', async () => {
    const response = await open(createHandler(server.engine, { dashboard: false }), '/', html)
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ name: 'octavo', version: version(), ...places })
  })
})

test('a request id is the client’s own, or a new one', async () => {
  const own = await ask('/v1/models', { headers: { 'x-request-id': 'mine-1' } })
  expect(own.headers.get('x-request-id')).toBe('mine-1')
  const given = await ask('/v1/models', { headers: { 'x-request-id': 'a b' } })
  expect(given.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
})

test('a middleware that changes what is written gets a stream without its frames', async () => {
  const pieces: string[] = []
  const wrapped = createServer((request, response: ServerResponse) => {
    const write = response.write.bind(response)
    response.write = (piece: string) => {
      pieces.push(piece)
      return write(piece.toUpperCase())
    }
    toNodeListener(server.handler)(request, response)
  })
  await new Promise<void>((resolve) => wrapped.listen(0, '127.0.0.1', resolve))
  const { port } = wrapped.address() as AddressInfo
  const body = JSON.stringify({ ...completion, stream: true })
  const init = { method: 'POST', body, headers: { authorization } }
  const text = await (await fetch(`http://127.0.0.1:${port}/v1/completions`, init)).text()
  wrapped.close()
  expect(pieces.length).toBeGreaterThan(1)
  for (const piece of pieces) expect(piece).toMatch(/^(data: .*\n\n)+$/)
  expect(text).toBe(pieces.join('').toUpperCase())
})

test('a stream that its reader leaves at the very end is over once, though its log fails', async () => {
  let ends = 0
  const onRequest = () => {
    ends++
    throw new Error('no room for the log')
  }
  const handler = createHandler(server.engine, { onRequest })
  const body = JSON.stringify({ ...completion, stream: true })
  const request = new Request(`${url}/v1/completions`, { method: 'POST', body })
  const reply = await handler.answer(fromRequest(request))
  const pieces = (reply.body as AsyncIterable<string>)[Symbol.asyncIterator]()
  for (let text = ''; !text.endsWith('[DONE]\n\n');) text = (await pieces.next()).value as string
  const last = pieces.next()
  await Promise.allSettled([last, pieces.return!()])
  expect(ends).toBe(1)
  expect(handler.context.gate.inside).toBe(0)
})

test('HEAD of a stream is answered by its headers', async () => {
  const headers = { authorization: 'Bearer secret' }
  const response = await fetch(`${url}/dashboard/events`, { method: 'HEAD', headers })
  expect(response.headers.get('content-type')).toContain('text/event-stream')
})

test('a half-sent body leaves nothing behind', async () => {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  await new Promise((resolve) => socket.once('connect', resolve))
  socket.write(
    'POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n' +
      'Content-Length: 100\r\n\r\n{"prompt": ',
  )
  while (server.handler.context.gate.inside === 0) await new Promise((r) => setTimeout(r, 2))
  socket.destroy()
  await server.settled()
})

test('the prefix cache is forgotten by whoever has a key', async () => {
  const prompt = 'Once upon a time there was a dog who lived by the sea. '.repeat(4)
  const cached = async () => {
    const { usage } = (await (await post('/v1/completions', { prompt, max_tokens: 1 })).json()) as {
      usage: OpenAI.CompletionUsage
    }
    return usage.prompt_tokens_details!.cached_tokens
  }
  await cached()
  const init = { method: 'POST' }
  expect((await fetch(`${url}/reset_prefix_cache`, init)).status).toBe(401)
  expect(await cached()).toBeGreaterThan(0)
  expect(await refusal(await ask('/reset_prefix_cache?all=1', init))).toMatchObject({
    param: 'all',
  })
  expect((await ask('/reset_prefix_cache', init)).status).toBe(200)
  expect(await cached()).toBe(0)
})

describe('tokens', () => {
  test('of a text, there and back', async () => {
    const response = await post('/tokenize', {
      prompt: 'Once upon a time',
      return_token_strs: true,
    })
    const body = (await response.json()) as {
      tokens: number[]
      count: number
      token_strs: string[]
    }
    expect(body.count).toBe(body.tokens.length)
    expect(body.token_strs.join('')).toBe('Once upon a time')
    const back = await post('/detokenize', { tokens: body.tokens })
    expect(await back.json()).toEqual({ prompt: 'Once upon a time' })
  })
  test('of a chat: those that it is answered by', async () => {
    const messages = [{ role: 'user', content: 'Hi' }]
    const tokens = (await (await post('/tokenize', { messages })).json()) as { count: number }
    const answer = await post('/v1/chat/completions', { messages, max_tokens: 1 })
    expect(await answer.json()).toMatchObject({ usage: { prompt_tokens: tokens.count } })
  })
  test.each([
    ['/tokenize', {}, 'prompt'],
    ['/tokenize', { prompt: 'x', model: 'gpt' }, 'model'],
    ['/detokenize', { tokens: [1.5] }, null],
    ['/detokenize', { tokens: [99_999_999] }, null],
  ])('%s refuses %j', async (path, body, param) => {
    const { status, ...rest } = await refusal(await post(path, body))
    expect(status).toBeLessThan(500)
    if (param !== null) expect(rest.param).toBe(param)
  })
})

describe('/metrics', () => {
  test('has vLLM’s names, and counts requests', async () => {
    await (await post('/v1/completions', completion)).json()
    const text = await (await fetch(`${url}/metrics`)).text()
    const labels = 'model_name="demo",engine="0"'
    expect(text).toContain(`vllm:num_requests_running{${labels}} 0`)
    expect(text).toContain(`vllm:num_requests_waiting{${labels}} 0`)
    expect(text).toMatch(/^vllm:kv_cache_usage_perc\{[^}]+\} 0$/m)
    expect(text).toMatch(/^vllm:generation_tokens_total\{[^}]+\} [1-9]\d*$/m)
    expect(text).toMatch(/^vllm:request_success_total\{[^}]+finished_reason="length"\} [1-9]/m)
    expect(text).toMatch(/^vllm:time_to_first_token_seconds_bucket\{le="0\.001",/m)
    expect(text).toMatch(/^vllm:cache_config_info\{[^}]*block_size="16",num_gpu_blocks="\d+"/m)
    const types = [...text.matchAll(/^# TYPE (vllm:\S+) (\w+)$/gm)]
    expect(types.map(([, name, type]) => `${name} ${type}`).sort()).toMatchSnapshot()
  })

  test('tells waits by their reason, and prompt tokens by their source', async () => {
    const stats = {
      ...server.engine.stats(),
      waiting: 2,
      swapped: 1,
      promptTokens: 70,
      prefixCacheHits: 32,
    }
    const engine = { config: { lora: null }, stats: () => stats } as unknown as LLMEngine
    const registry = new Registry()
    showEngine(engine, { registers: [registry], labels: { model_name: 'demo', engine: '0' } })
    for (const scrape of [1, 2]) {
      const lines = (await registry.metrics()).split('\n').filter((line) => / \d+$/.test(line))
      const split = lines.filter((line) => /^vllm:\w+_by_/.test(line))
      expect([scrape, split]).toEqual([
        scrape,
        [
          'vllm:num_requests_waiting_by_reason{model_name="demo",engine="0",reason="capacity"} 3',
          'vllm:num_requests_waiting_by_reason{model_name="demo",engine="0",reason="deferred"} 0',
          'vllm:prompt_tokens_by_source_total{model_name="demo",engine="0",source="local_compute"} 70',
          'vllm:prompt_tokens_by_source_total{model_name="demo",engine="0",source="local_cache_hit"} 32',
          'vllm:prompt_tokens_by_source_total{model_name="demo",engine="0",source="external_kv_transfer"} 0',
        ],
      ])
      expect(lines).toContain('vllm:num_requests_waiting{model_name="demo",engine="0"} 3')
    }
  })
})

test('a handler tells starting from ready from draining from dead', async () => {
  let resolve = (_: LLMEngine): void => undefined
  const loading = new Promise<LLMEngine>((settle) => (resolve = settle))
  const handler = createHandler(loading)
  const state = async () => {
    const response = await handler(new Request('http://x/health'))
    return [response.status, ((await response.json()) as { status: string }).status]
  }
  const models = () => handler(new Request('http://x/v1/models'))
  expect(await state()).toEqual([503, 'starting'])
  expect((await models()).status).toBe(503)
  resolve(await LLMEngine.load('demo', { log: false }))
  await loading
  expect(await state()).toEqual([200, 'ready'])
  expect((await models()).status).toBe(200)
  await handler.drain()
  expect(await state()).toEqual([503, 'draining'])
  await handler.context.engine.close()
  expect(await state()).toEqual([503, 'dead'])
})
