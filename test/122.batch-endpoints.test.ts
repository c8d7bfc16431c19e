import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import type { BatchResult } from '../lib/openai/batch-output.js'
import { BATCH_ENDPOINTS } from '../lib/openai/batch-request.js'
import { runBatch } from '../lib/openai/batch.js'
import { ServedModels } from '../lib/openai/served-models.js'
import { answerJob } from '../lib/worker/jobs.js'
import { temporaryFolder } from './support/files.js'
import { TestServer } from './support/server.js'

// A batch and a job answer every endpoint as the server's route does.

const server = await TestServer.start({}, { maxModelLen: 512 })
const { engine } = server
afterEach(() => server.settled())

const question = 'What is the capital of France?'
const messages = [{ role: 'user', content: question }]
const greedy = { temperature: 0 }
const requests = [
  { url: '/v1/completions', body: { prompt: 'One', max_tokens: 4, ...greedy } },
  { url: '/v1/chat/completions', body: { messages, ...greedy } },
  { url: '/v1/responses', body: { input: question, instructions: 'Be brief.', ...greedy } },
  { url: '/v1/responses', body: { input: question, store: true, max_output_tokens: 2, ...greedy } },
  { url: '/v1/embeddings', body: { input: ['A cat.', 'A dog.'], model: 'demo' } },
  { url: '/v1/embeddings', body: { input: 'A cat.', encoding_format: 'base64', dimensions: 8 } },
]
const refused = [
  {
    url: '/v1/responses',
    body: { input: 'Hi', stream: true },
    error: /^stream: expected false in/,
  },
  {
    ...{ url: '/v1/responses', body: { input: 'Hi', previous_response_id: 'resp_1' } },
    error: /^previous_response_id: not supported in a batch or a job, where no response is kept$/,
  },
  {
    url: '/v1/embeddings',
    body: { input: 'Hi', stream: true },
    error: /^stream: \/v1\/embeddings/,
  },
  { url: '/v1/embeddings', body: { input: [] }, error: /^input: expected at least one/ },
  {
    ...{ url: '/v1/responses', body: { input: 'Hi', max_output_tokens: 0 } },
    error: /^max_output_tokens: expected/,
  },
]

/** A body without what differs from one answer to the next; nothing is stored outside of a server. */
function comparable(body: unknown): unknown {
  const text = JSON.stringify(body, (name, value: unknown) => {
    if (['id', 'created', 'created_at', 'completed_at'].includes(name)) return undefined
    return name === 'input_tokens_details' || name === 'prompt_tokens_details' ? undefined : value
  })
  return { ...(JSON.parse(text) as object), ...(text.includes('"store"') && { store: false }) }
}

const routeOf = async ({ url, body }: { url: string; body: object }) =>
  (await (await server.post(url, body)).json()) as object

async function batchOf(entries: readonly { url: string; body: object }[]) {
  const folder = temporaryFolder()
  const [input, output] = [join(folder, 'in.jsonl'), join(folder, 'out.jsonl')]
  const lines = entries.map(({ url, body }, i) =>
    JSON.stringify({ custom_id: String(i), method: 'POST', url, body }),
  )
  await writeFile(input, lines.join('\n'))
  const { failed } = await runBatch(engine, input, output)
  const results = (await readFile(output, 'utf8')).trim().split('\n')
  const parsed = results.map((line) => JSON.parse(line) as BatchResult)
  parsed.sort((a, b) => Number(a.custom_id) - Number(b.custom_id))
  return { failed, responses: parsed.map(({ response }) => response!) }
}

test('every endpoint is tried here', () => {
  expect([...new Set(requests.map(({ url }) => url))]).toEqual([...BATCH_ENDPOINTS])
})

test('a batch answers as the routes do, and keeps no response', async () => {
  const { failed, responses } = await batchOf(requests)
  expect(failed).toBe(0)
  for (const [i, request] of requests.entries()) {
    const { status_code: status, body } = responses[i]!
    expect(status).toBe(200)
    expect(comparable(body)).toEqual(comparable(await routeOf(request)))
  }
  const { id, store, output } = responses[2]!.body as {
    id: string
    store: boolean
    output: object[]
  }
  expect(store).toBe(false)
  expect(JSON.stringify(output)).toContain('Paris')
  expect((await fetch(`${server.url}/v1/responses/${id}`)).status).toBe(404)
})

test('a job answers as the routes do', async () => {
  const progress: number[] = []
  const onProgress = (percent: number) => Promise.resolve(void progress.push(percent))
  const { signal } = new AbortController()
  const call = { models: new ServedModels(engine), signal, onProgress }
  const bodies = (await answerJob(engine, { requests }, call)) as object[]
  expect(progress).toEqual([17, 33, 50, 67, 83, 100])
  for (const [i, request] of requests.entries()) {
    expect(comparable(bodies[i])).toEqual(comparable(await routeOf(request)))
  }
})

test('both refuse streams, and to go on from a response', async () => {
  const { failed, responses } = await batchOf(refused)
  expect(failed).toBe(refused.length)
  const { signal } = new AbortController()
  const call = { models: new ServedModels(engine), signal, onProgress: () => Promise.resolve() }
  for (const [i, { error, ...job }] of refused.entries()) {
    expect(responses[i]!.status_code).toBe(400)
    expect((responses[i]!.body as { error: Error }).error.message).toMatch(error)
    await expect(answerJob(engine, job, call)).rejects.toThrow(error)
  }
})
