import { readFileSync, readdirSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import express from 'express'
import OpenAI from 'openai'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { LLMEngine } from '../lib/index.js'
import { createHandler, toNodeListener } from '../lib/server/index.js'
import { root } from './support/commands.js'
import { temporaryFolder } from './support/files.js'

const folder = join(root, 'examples/servers')
const paths = { 'node-http': '', express: '/llm', fastify: '/llm', hono: '/llm' }
process.env.PORT = '0'
const opened: Server[] = []
afterAll(() => opened.forEach((server) => server.close()))

const browser = { headers: { accept: 'text/html' } }

type Route = (request: Request) => Promise<Response>
const load = (name: string) => import(join(folder, `${name}.mjs`)) as Promise<unknown>

/** Asks until the model is loaded: for models, a chat, a stream, an error. */
async function exercise(baseURL: string, fetch?: typeof globalThis.fetch) {
  const client = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 20, ...(fetch && { fetch }) })
  expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['demo'])
  const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]
  const body = { model: 'demo', messages, temperature: 0 }
  const whole = await client.chat.completions.create(body)
  expect(whole.choices[0]?.message.content).toContain('Paris')
  let text = ''
  for await (const { choices } of await client.chat.completions.create({ ...body, stream: true })) {
    text += choices[0]?.delta.content ?? ''
  }
  expect(text).toBe(whole.choices[0]?.message.content)
  const wrong = client.chat.completions.create({ ...body, top_p: 7 })
  await expect(wrong).rejects.toBeInstanceOf(OpenAI.BadRequestError)
}

test.each(Object.entries(paths))('%s', async (name, path) => {
  const { server } = (await load(name)) as { server: Server }
  opened.push(server)
  if (!server.listening) await new Promise((resolve) => server.once('listening', resolve))
  const mounted = `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`
  await exercise(`${mounted}/v1`)
  for (const opened of [mounted, `${mounted}/`]) {
    const page = await fetch(opened, browser)
    expect([page.status, page.url]).toEqual([200, `${mounted}/dashboard`])
  }
})

test('a route of Next.js', async () => {
  const { GET, POST } = (await load('next-route')) as { GET: Route; POST: Route }
  await exercise('http://app.example/llm/v1', (url, init) => {
    const request = new Request(url, init)
    return request.method === 'POST' ? POST(request) : GET(request)
  })
  const opened = new Request('http://app.example/llm', browser)
  const location = (await GET(opened)).headers.get('location')!
  expect(new URL(location, opened.url).href).toBe('http://app.example/llm/dashboard')
})

test('a body that a framework has read already is told from an empty one', async () => {
  const app = express()
  const told: unknown[] = []
  const engine = await LLMEngine.load('demo', { log: false })
  onTestFinished(() => engine.close())
  const handler = createHandler(engine, { onError: (error) => told.push(error) })
  app.use(express.json(), toNodeListener(handler))
  const server = app.listen(0)
  opened.push(server)
  await new Promise((resolve) => server.once('listening', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/completions`
  const headers = { 'content-type': 'application/json' }
  const post = (body: string | ReadableStream) =>
    fetch(url, { method: 'POST', headers, body, duplex: 'half' })
  const read = await post('{"model":"demo"}')
  expect([read.status, await read.text()]).toEqual([500, expect.stringContaining('express.json()')])
  expect(told).toHaveLength(1)
  const ofUnknownLength = await post(new Blob(['{"model":"demo"}']).stream())
  expect(ofUnknownLength.status).toBe(500)
  const empty = await post('')
  expect([empty.status, await empty.text()]).toEqual([
    400,
    expect.stringContaining('expected JSON'),
  ])
})

test('so is one of a web request', async () => {
  const engine = await LLMEngine.load('demo', { log: false })
  onTestFinished(() => engine.close())
  const handler = createHandler(engine, {
    filesFolder: temporaryFolder(),
    onError: () => undefined,
  })
  const form = new FormData()
  form.set('file', new Blob(['{}']), 'in.jsonl')
  for (const [path, body] of [
    ['completions', '{"prompt":"Hi"}'],
    ['files', form],
  ] as const) {
    const request = new Request(`http://x/v1/${path}`, { method: 'POST', body })
    await request.text()
    const response = await handler(request)
    expect(response.status).toBe(500)
    expect(await response.json()).toMatchObject({ error: { code: 'body_already_read' } })
  }
})

test('each has fewer than ten lines', () => {
  for (const name of readdirSync(folder)) {
    const lines = readFileSync(join(folder, name), 'utf8').split('\n')
    expect(lines.filter((line) => line.trim() !== '').length).toBeLessThan(10)
  }
})
