import { mkdtempSync, rmSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { embed, generateText, streamText } from 'ai'
import { createOctavo } from '../lib/ai/index.js'
import type { BatchResult } from '../lib/openai/batch-output.js'
import { runBatch } from '../lib/openai/batch.js'
import { ServedModels } from '../lib/openai/served-models.js'
import { answerJob } from '../lib/worker/jobs.js'
import { writeDemoAdapter } from './support/demo-adapters.js'
import { TestServer } from './support/server.js'

// Batches, jobs and the AI SDK name adapters as requests of a server do.

const folder = mkdtempSync(join(tmpdir(), 'octavo-lora-batches-'))
afterAll(() => rmSync(folder, { recursive: true }))
const { engine, client } = await TestServer.start(
  { filesFolder: join(folder, 'files') },
  { enableLora: true, maxModelLen: 256 },
)
const loraRequest = { loraName: 'cat' }
await engine.loras.add({ loraName: 'cat', loraPath: writeDemoAdapter(join(folder, 'cat'), 1) })

const prompt = 'Once upon a time'
const messages = [{ role: 'user', content: 'What does a cat say?' }]
const params = { temperature: 0, maxTokens: 8 }
const greedy = { temperature: 0, max_tokens: 8 }
const [completion] = await engine.generate(prompt, params, { loraRequest })
const { text } = completion!.outputs[0]!
const content = (await engine.chat(messages, params, { loraRequest })).outputs[0]!.text
const embedding = [...(await engine.embed(prompt, { loraRequest }))[0]!.embedding]

const requests = [
  { url: '/v1/completions', body: { prompt, ...greedy } },
  { url: '/v1/chat/completions', body: { messages, ...greedy } },
  { url: '/v1/responses', body: { input: messages, temperature: 0, max_output_tokens: 8 } },
  { url: '/v1/embeddings', body: { input: prompt } },
].map(({ url, body }) => ({ url, body: { model: 'cat', ...body } }))
const answers = [
  { choices: [{ text }] },
  { choices: [{ message: { content } }] },
  { output: [{ content: [{ text: content }] }] },
  { data: [{ embedding }] },
].map((body) => ({ model: 'cat', ...body }))

const linesOf = (all: readonly object[]) =>
  all.map((request, i) => JSON.stringify({ custom_id: `${i}`, method: 'POST', ...request }))
const readResults = (jsonl: string) =>
  jsonl
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as BatchResult)
    .sort((a, b) => Number(a.custom_id) - Number(b.custom_id))
    .map(({ response }) => response!)

test('the answers are the adapter’s', async () => {
  const [alone] = await engine.generate(prompt, params)
  expect(alone!.outputs[0]!.text).not.toBe(text)
})

test('a batch file', async () => {
  const [input, output] = [join(folder, 'in.jsonl'), join(folder, 'out.jsonl')]
  const unknown = { url: '/v1/completions', body: { prompt, model: 'dog' } }
  await writeFile(input, linesOf([...requests, unknown]).join('\n'))
  await runBatch(engine, input, output, { servedModelNames: ['small'] })
  const results = readResults(await readFile(output, 'utf8'))
  expect(results.slice(0, 4).map(({ body }) => body)).toMatchObject(answers)
  expect(results[4]).toMatchObject({
    status_code: 404,
    body: { error: { message: 'model: expected "small" or "cat" or none, found "dog"' } },
  })
})

test('a batch of the files API', async () => {
  const [request] = requests
  const file = new File(linesOf([request!]), 'in.jsonl')
  const { id: input_file_id } = await client.files.create({ file, purpose: 'batch' })
  const endpoint = '/v1/completions'
  const { id } = await client.batches.create({ input_file_id, endpoint, completion_window: '24h' })
  const completed = async () => {
    const batch = await client.batches.retrieve(id)
    expect(batch.status).toBe('completed')
    return batch.output_file_id!
  }
  const output = await expect.poll(completed).toBeTruthy().then(completed)
  const results = readResults(await (await client.files.content(output)).text())
  expect(results).toMatchObject([{ status_code: 200, body: answers[0]! }])
})

test('a job of a queue', async () => {
  const call = {
    models: new ServedModels(engine),
    signal: new AbortController().signal,
    onProgress: () => Promise.resolve(),
  }
  expect(await answerJob(engine, { requests }, call)).toMatchObject(answers)
  const unknown = { url: '/v1/completions', body: { prompt, model: 'dog' } }
  await expect(answerJob(engine, unknown, call)).rejects.toThrow(
    'model: expected "demo" or "cat" or none, found "dog"',
  )
})

test('models of the AI SDK', async () => {
  const octavo = createOctavo(engine)
  const asked = {
    model: octavo('cat'),
    ...{ prompt: messages[0]!.content, temperature: 0, maxOutputTokens: 8 },
  }
  const { text: generated, response } = await generateText(asked)
  expect([generated, response.modelId]).toEqual([content, 'cat'])
  expect(await streamText(asked).text).toBe(content)
  const embedded = await embed({ model: octavo.embeddingModel('cat'), value: prompt })
  expect(embedded.embedding).toEqual(embedding)
  expect(() => octavo('dog')).toThrow('there is no model "dog"')
  expect(() => octavo.embeddingModel('dog')).toThrow('there is no embedding model "dog"')
})
