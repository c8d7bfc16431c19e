import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toFile } from 'openai'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { createHandler } from '../lib/server/index.js'
import { TestServer } from './support/server.js'

const folder = mkdtempSync(join(tmpdir(), 'octavo-files-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const server = await TestServer.start({ filesFolder: folder, maxFileBytes: 100_000 })
const { client, url } = server
const line = (id: string, body: object) =>
  JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/completions', body })
const upload = async (text: string) =>
  client.files.create({ file: await toFile(Buffer.from(text), 'in.jsonl'), purpose: 'batch' })
const until = async (id: string, wanted: string) => {
  for (;;) {
    const batch = await client.batches.retrieve(id)
    if (batch.status === wanted) return batch
    expect(['validating', 'in_progress', 'cancelling']).toContain(batch.status)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

afterEach(() => server.settled())

test('a batch from its upload to its results', async () => {
  const lines = [line('a', { prompt: 'One', max_tokens: 4 }), line('b', { prompt: 5 })]
  const input = await upload(lines.join('\n'))
  expect(input).toMatchObject({ object: 'file', purpose: 'batch', filename: 'in.jsonl' })
  const created = await client.batches.create({
    input_file_id: input.id,
    endpoint: '/v1/completions',
    completion_window: '24h',
    metadata: { for: 'a test' },
  })
  const batch = await until(created.id, 'completed')
  expect(batch.request_counts).toEqual({ total: 2, completed: 1, failed: 1 })
  expect(batch.metadata).toEqual({ for: 'a test' })
  const content = await (await client.files.content(batch.output_file_id!)).text()
  const results = content
    .trim()
    .split('\n')
    .map((each) => JSON.parse(each) as { custom_id: string; response: { status_code: number } })
  const statuses = results.map(({ custom_id, response }) => [custom_id, response.status_code])
  expect(Object.fromEntries(statuses)).toEqual({ a: 200, b: 400 })
  expect((await client.batches.list()).data.map(({ id }) => id)).toContain(batch.id)
  await expect(client.batches.cancel(batch.id)).rejects.toThrow('completed already')
})

test('a batch of embeddings', async () => {
  const body = { input: 'A cat.', dimensions: 4 }
  const request = { custom_id: 'a', method: 'POST', url: '/v1/embeddings', body }
  const input = await upload(JSON.stringify(request))
  const { id } = await client.batches.create({
    ...{ input_file_id: input.id, endpoint: '/v1/embeddings', completion_window: '24h' },
  })
  const { output_file_id: output } = await until(id, 'completed')
  const result = JSON.parse(await (await client.files.content(output!)).text()) as object
  const embedding = [...(await server.engine.embed('A cat.', { dimensions: 4 }))[0]!.embedding]
  expect(result).toMatchObject({ response: { body: { data: [{ index: 0, embedding }] } } })
})

test("a line of another endpoint than its batch's is refused", async () => {
  const other = { custom_id: 'b', method: 'POST', url: '/v1/embeddings', body: { input: 'A cat.' } }
  const mine = line('a', { prompt: 'One', max_tokens: 1 })
  const input = await upload(`${mine}\n${JSON.stringify(other)}`)
  const { id } = await client.batches.create({
    ...{ input_file_id: input.id, endpoint: '/v1/completions', completion_window: '24h' },
  })
  const { output_file_id: output, request_counts: counts } = await until(id, 'completed')
  expect(counts).toEqual({ total: 2, completed: 1, failed: 1 })
  const results = await (await client.files.content(output!)).text()
  expect(results).toContain(
    String.raw`line 2: url: expected \"/v1/completions\", the batch's endpoint`,
  )
})

test('a batch that is cancelled keeps what is finished', async () => {
  const many = Array.from({ length: 2000 }, (_, i) => line(`r${i}`, { prompt: 'One' }))
  const input = await upload(
    many
      .join('\n')
      .slice(0, 99_000)
      .replace(/\n[^\n]*$/, ''),
  )
  const { id } = await client.batches.create({
    ...{ input_file_id: input.id, endpoint: '/v1/completions', completion_window: '24h' },
  })
  const begun = async () => (await client.batches.retrieve(id)).request_counts!.completed
  await expect.poll(begun, { interval: 5 }).toBeGreaterThan(0)
  const next = await client.batches.create({
    ...{ input_file_id: input.id, endpoint: '/v1/completions', completion_window: '24h' },
  })
  await client.batches.cancel(next.id)
  await client.batches.cancel(id)
  const { output_file_id: output, request_counts: counts } = await until(id, 'cancelled')
  const lines = (await (await client.files.content(output!)).text()).split('\n').filter(Boolean)
  expect(lines.length).toBeLessThan(counts!.total)
  expect(counts).toMatchObject({ completed: lines.length, failed: 0 })
  const unbegun = await until(next.id, 'cancelled')
  expect(unbegun).toMatchObject({ output_file_id: null, request_counts: { total: 0 } })
})

test('a batch may be cancelled at any moment, and several times at once', async () => {
  const input = await upload(['a', 'b'].map((id) => line(id, { prompt: 'One' })).join('\n'))
  for (let turns = 0; turns < 12; turns++) {
    const { id } = await client.batches.create({
      ...{ input_file_id: input.id, endpoint: '/v1/completions', completion_window: '24h' },
    })
    for (let turn = 0; turn < 4 * turns; turn++) await new Promise((next) => setImmediate(next))
    await Promise.allSettled([client.batches.cancel(id), client.batches.cancel(id)])
    await server.settled()
    const over = () => client.batches.retrieve(id).then(({ status }) => status)
    await expect.poll(over).toMatch(/^(cancelled|completed)$/)
  }
})

test('a batch that an earlier process left is gone on with', async () => {
  const input = await upload(line('a', { prompt: 'One', max_tokens: 2 }))
  const { id } = await client.batches.create({
    ...{ input_file_id: input.id, endpoint: '/v1/completions', completion_window: '24h' },
  })
  await until(id, 'completed')
  const file = join(folder, `${id}.json`)
  const state = JSON.parse(await readFile(file, 'utf8')) as object
  await writeFile(file, JSON.stringify({ ...state, status: 'in_progress', output_file_id: null }))
  createHandler(server.engine, { filesFolder: folder })
  expect((await until(id, 'completed')).request_counts).toMatchObject({ total: 1, completed: 1 })
})

describe('files', () => {
  test('are listed, and deleted', async () => {
    const { id } = await upload('{}')
    expect((await client.files.list()).data.map((file) => file.id)).toContain(id)
    expect(await client.files.delete(id)).toEqual({ id, object: 'file', deleted: true })
    await expect(client.files.retrieve(id)).rejects.toThrow('404')
    expect(readdirSync(folder).filter((name) => name.startsWith(id))).toEqual([])
  })
  test('of another purpose, too large or none at all are refused, and leave nothing', async () => {
    const before = readdirSync(folder)
    const file = await toFile(Buffer.from('x'), 'x')
    await expect(client.files.create({ file, purpose: 'vision' })).rejects.toThrow('purpose')
    await expect(upload('x'.repeat(100_001))).rejects.toThrow('413')
    const response = await fetch(`${url}/v1/files`, { method: 'POST', body: 'x' })
    expect(response.status).toBe(400)
    expect(readdirSync(folder)).toEqual(before)
  })
  test('refused for a field behind them leave nothing', async () => {
    const before = readdirSync(folder)
    const part = (name: string) =>
      `--x\r\ncontent-disposition: form-data; name=${name}\r\n\r\n1\r\n`
    async function* form() {
      yield Buffer.from(`${part('file; filename=a')}--x`)
      await expect.poll(() => readdirSync(folder)).toHaveLength(before.length + 2)
      yield Buffer.from(`${part('expires_after').slice(3)}--x--`)
    }
    const headers = { 'content-type': 'multipart/form-data; boundary=x' }
    const init = { method: 'POST', headers, body: ReadableStream.from(form()), duplex: 'half' }
    const response = await server.handler(new Request(`${url}/v1/files`, init as RequestInit))
    expect(response.status).toBe(400)
    expect(await response.text()).toContain('expires_after: /v1/files has no such field')
    expect(readdirSync(folder)).toEqual(before)
  })
  test('whose client vanishes leave nothing', async () => {
    const before = readdirSync(folder)
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    const part = '--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
    const head = 'host: x\r\ncontent-length: 9000\r\ncontent-type: multipart/form-data; boundary=x'
    socket.write(`POST /v1/files HTTP/1.1\r\n${head}\r\n\r\n${part}${'y'.repeat(1000)}`)
    const files = () => readdirSync(folder)
    await expect.poll(files).not.toEqual(before)
    socket.destroy()
    await expect.poll(files).toEqual(before)
  })
  test('that do not come whole are refused with what lies behind it', async () => {
    const lost = new Error('cut off', { cause: new Error('read ECONNRESET') })
    const body = new ReadableStream({ start: (controller) => controller.error(lost) })
    const headers = { 'content-type': 'multipart/form-data; boundary=x' }
    const init = { method: 'POST', headers, body, duplex: 'half' } as const
    const handler = createHandler(server.engine, { filesFolder: folder })
    const response = await handler(new Request(`${url}/v1/files`, init))
    expect(response.status).toBe(400)
    expect(await response.text()).toContain('expected a whole form: cut off: read ECONNRESET')
  })
  test.each(['..%2f..%2fpackage', 'file-1', 'batch-x'])('there is no %s', async (id) => {
    expect((await fetch(`${url}/v1/files/${id}/content`)).status).toBe(404)
  })
})
