import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Anthropic from '@anthropic-ai/sdk'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import type { LoraRequest } from '../lib/index.js'
import { writeDemoAdapter } from './support/demo-adapters.js'
import { TestServer } from './support/server.js'

const folder = mkdtempSync(join(tmpdir(), 'octavo-server-loras-'))
afterAll(() => rmSync(folder, { recursive: true }))
const write = (name: string, seed: number, rank?: number) =>
  writeDemoAdapter(join(folder, name), seed, rank)

const server = await TestServer.start(
  { allowRuntimeLoraUpdating: true, servedModelNames: ['demo', 'small'] },
  { enableLora: true, maxLoraRank: 8, maxModelLen: 512, maxNumSeqs: 4 },
)
const { engine, client, url } = server
const PATHS: Readonly<Record<string, string>> = { cat: write('cat', 1), dog: write('dog', 2) }
for (const [loraName, loraPath] of Object.entries(PATHS)) {
  await engine.loras.add({ loraName, loraPath })
}
afterEach(async () => {
  for (const name of engine.loras.names) if (!(name in PATHS)) engine.loras.remove(name)
  await server.settled()
})

const MODELS = ['demo', 'cat', 'dog'] as const
type Model = (typeof MODELS)[number]
const callOf = (loraName: Model): { loraRequest?: LoraRequest } =>
  loraName === 'demo' ? {} : { loraRequest: { loraName } }
const prompt = 'Once upon a time'
const messages = [{ role: 'user' as const, content: 'What does a cat say?' }]
const greedy = { temperature: 0, max_tokens: 12 }
const params = { temperature: 0, maxTokens: 12 }

/** What the engine gives itself. */
const wanted = {
  text: async (model: Model) =>
    (await engine.generate(prompt, params, callOf(model)))[0]!.outputs[0]!.text,
  reply: async (model: Model) =>
    (await engine.chat(messages, params, callOf(model))).outputs[0]!.text,
  vector: async (model: Model, text: string) => [
    ...(await engine.embed(text, callOf(model)))[0]!.embedding,
  ],
}
const post = async (path: string, body: unknown) => (await server.post(path, body)).json()
const load = (body: unknown) => server.post('/v1/load_lora_adapter', body)
const unload = (body: unknown) => server.post('/v1/unload_lora_adapter', body)
const errorOf = async (response: Response) =>
  ((await response.json()) as { error: { message: string; param: string; code: string } }).error

test('the adapters say something else than the model, and than each other', async () => {
  const texts = await Promise.all(MODELS.map(wanted.text))
  expect(new Set(texts).size).toBe(3)
})

describe.each(MODELS)('%s', (model) => {
  test('completions, whole and streamed', async () => {
    const text = await wanted.text(model)
    const whole = await client.completions.create({ model, prompt, ...greedy })
    expect(whole).toMatchObject({ model, choices: [{ text }] })
    const chunks = await client.completions.create({ model, prompt, ...greedy, stream: true })
    let streamed = ''
    for await (const chunk of chunks) {
      expect(chunk.model).toBe(model)
      streamed += chunk.choices[0]!.text
    }
    expect(streamed).toBe(text)
  })

  test('chats, whole and streamed', async () => {
    const content = await wanted.reply(model)
    const whole = await client.chat.completions.create({ model, messages, ...greedy })
    expect(whole).toMatchObject({ model, choices: [{ message: { content } }] })
    const asked = { model, messages, ...greedy, stream: true } as const
    let streamed = ''
    for await (const chunk of await client.chat.completions.create(asked)) {
      expect(chunk.model).toBe(model)
      streamed += chunk.choices[0]!.delta.content ?? ''
    }
    expect(streamed).toBe(content)
  })

  test('responses, whole and streamed', async () => {
    const text = await wanted.reply(model)
    const asked = { model, input: messages, temperature: 0, max_output_tokens: 12 }
    const whole = await client.responses.create(asked)
    expect(whole).toMatchObject({ model, output_text: text })
    expect((await client.responses.retrieve(whole.id)).model).toBe(model)
    let streamed = ''
    for await (const event of await client.responses.create({ ...asked, stream: true })) {
      if (event.type === 'response.created') expect(event.response.model).toBe(model)
      if (event.type === 'response.output_text.delta') streamed += event.delta
    }
    expect(streamed).toBe(text)
  })

  test('messages, whole and streamed; their tokens are the model’s', async () => {
    const { messages: api } = new Anthropic({ baseURL: url, apiKey: 'none' })
    const text = await wanted.reply(model)
    const whole = await api.create({ model, messages, ...greedy })
    expect(whole).toMatchObject({ model, content: [{ type: 'text', text }] })
    const stream = api.stream({ model, messages, ...greedy })
    expect(await stream.finalText()).toBe(text)
    expect((await stream.finalMessage()).model).toBe(model)
    const counted = await api.countTokens({ model, messages })
    expect(counted).toEqual(await api.countTokens({ model: 'demo', messages }))
    expect(await post('/tokenize', { model, prompt })).toEqual(await post('/tokenize', { prompt }))
  })

  test('embeddings, scores and ranks', async () => {
    const [a, b] = [await wanted.vector(model, 'a cat'), await wanted.vector(model, 'a dog')]
    const asked = { model, input: ['a cat', 'a dog'], encoding_format: 'float' as const }
    const { data, model: named } = await client.embeddings.create(asked)
    expect([named, ...data.map(({ embedding }) => embedding)]).toEqual([model, a, b])
    const cosine = a.reduce((sum, x, i) => sum + x * b[i]!, 0)
    expect(await post('/v1/score', { model, text_1: 'a cat', text_2: 'a dog' })).toMatchObject({
      model,
      data: [{ score: cosine }],
    })
    const ranked = await post('/v1/rerank', { model, query: 'a cat', documents: ['a dog'] })
    expect(ranked).toMatchObject({ model, results: [{ relevance_score: cosine }] })
  })
})

test('clients with different adapters at once each get their own', async () => {
  const models = Array.from({ length: 12 }, (_, i) => MODELS[i % 3]!)
  const replies = await Promise.all(
    models.map((model) => client.chat.completions.create({ model, messages, ...greedy })),
  )
  for (const [i, { model, choices }] of replies.entries()) {
    expect(model).toBe(models[i])
    expect(choices[0]!.message.content).toBe(await wanted.reply(models[i]!))
  }
})

test('lists them behind the names of the model', async () => {
  const { data } = await client.models.list()
  const shared = { object: 'model', owned_by: 'octavo', max_model_len: 512 }
  const expected = [
    ...['demo', 'small'].map((id) => ({ id, root: 'demo', parent: null, ...shared })),
    ...['cat', 'dog'].map((id) => ({ id, root: PATHS[id], parent: 'demo', ...shared })),
  ]
  expect(data).toMatchObject(expected)
  expect(await client.models.retrieve('dog')).toMatchObject(expected[3]!)
  const { message } = await errorOf(await server.post('/v1/completions', { model: 'cow', prompt }))
  expect(message).toBe('model: expected "demo" or "small" or "cat" or "dog" or none, found "cow"')
})

test('metrics name those of requests that run', async () => {
  const info = async () => {
    const text = await (await fetch(`${url}/metrics`)).text()
    return text.split('\n').filter((line) => line.startsWith('vllm:lora_requests_info'))
  }
  const expected = (running: string) => [
    expect.stringMatching(
      `{max_lora="8",waiting_lora_adapters="",running_lora_adapters="${running}"} 1[0-9.]{10,}$`,
    ) as string,
  ]
  const asked = { model: 'cat', prompt, max_tokens: 400, ignore_eos: true, stream: true }
  const stream = (await server.post('/v1/completions', asked)).body!
  expect(await info()).toEqual(expected('cat'))
  await stream.cancel()
  await server.settled()
  expect(await info()).toEqual(expected(''))
})

describe('adapters that come and go', () => {
  test('are loaded, used, loaded again and unloaded, with vLLM’s answers', async () => {
    const body = { lora_name: 'cow', lora_path: PATHS.cat, base_model_name: '' }
    const loaded = await load(body)
    expect([loaded.status, await loaded.text()]).toEqual([
      200,
      "Success: LoRA adapter 'cow' added successfully.",
    ])
    const asked = { model: 'cow', prompt, ...greedy }
    const text = async () => (await client.completions.create(asked)).choices[0]!.text
    expect(await text()).toBe(await wanted.text('cat'))
    const again = await load({ ...body, lora_path: PATHS.dog })
    expect([again.status, await errorOf(again)]).toMatchObject([
      400,
      {
        message:
          'lora_name: adapter "cow" has already been loaded; load_inplace: true reads it anew',
        ...{ param: 'lora_name', code: 'already_loaded' },
      },
    ])
    const inPlace = await load({ ...body, lora_path: PATHS.dog, load_inplace: true })
    expect(inPlace.status).toBe(200)
    expect(await text()).toBe(await wanted.text('dog'))
    const unloaded = await unload({ lora_name: 'cow' })
    expect([unloaded.status, await unloaded.text()]).toEqual([
      200,
      "Success: LoRA adapter 'cow' removed successfully.",
    ])
    await expect(text()).rejects.toMatchObject({ status: 404, code: 'model_not_found' })
    const gone = await unload({ lora_name: 'cow' })
    expect([gone.status, await errorOf(gone)]).toMatchObject([
      404,
      { message: 'lora_name: adapter "cow" cannot be found', param: 'lora_name' },
    ])
  })

  test('while requests run: each goes on with what its name was when it came', async () => {
    // More prompts than the engine takes in at once.
    const several = Array.from({ length: 100 }, (_, i) => `${prompt}, ${i}`)
    const taken = () => engine.stats().running + engine.stats().waiting
    const begin = async () => {
      const before = taken()
      const completion = client.completions.create({ model: 'cow', prompt: several, ...greedy })
      await expect.poll(taken, { interval: 1, timeout: 20_000 }).toBeGreaterThan(before)
      return { completion }
    }
    const body = { lora_name: 'cow', lora_path: PATHS.cat }
    await load(body)
    const earlier = await begin()
    const broken = write('broken', 3)
    writeFileSync(join(broken, 'adapter_model.safetensors'), 'x')
    expect((await load({ ...body, lora_path: broken, load_inplace: true })).status).toBe(400)
    const inPlace = { ...body, lora_path: PATHS.dog, load_inplace: true }
    expect((await load(inPlace)).status).toBe(200)
    const later = await begin()
    expect(engine.stats().runningAdapters).toEqual(['cow'])
    expect((await unload({ lora_name: 'cow' })).status).toBe(200)
    for (const model of ['cat', 'dog'] as const) {
      const { choices } = await { cat: earlier, dog: later }[model].completion
      const outputs = await engine.generate(several, params, callOf(model))
      expect(choices.map(({ text }) => text)).toEqual(outputs.map((each) => each.outputs[0]!.text))
    }
    expect(engine.loras.names).toEqual(['cat', 'dog'])
  })

  test('are not there before they are read', async () => {
    const [loading, ...asking] = await Promise.all([
      load({ lora_name: 'cow', lora_path: write('wide', 4, 16) }),
      ...Array.from({ length: 8 }, () => server.post('/v1/completions', { model: 'cow', prompt })),
    ])
    expect(loading.status).toBe(400)
    expect(asking.map(({ status }) => status)).toEqual(asking.map(() => 404))
  })

  test.each<[string, object, string, number]>([
    ['no path', { lora_name: 'cow' }, 'lora_path: expected a string, found undefined', 400],
    ['no name', { lora_path: 'x' }, 'lora_name: expected a string, found undefined', 400],
    ['a name that is none', { lora_name: '', lora_path: 'x' }, 'lora_name: expected a string', 400],
    [
      'a path that is none',
      { lora_name: 'cow', lora_path: 3 },
      'lora_path: expected a string',
      400,
    ],
    ["the model's name", { lora_name: 'small' }, 'lora_name: expected another name than', 400],
    ['control characters', { lora_name: 'a\nb' }, 'lora_name: expected a name without', 400],
    ['a text', { lora_name: 'a', lora_path: 'b', load_inplace: 'yes' }, 'load_inplace: exp', 400],
    ['another field', { lora_name: 'a', lora_int_id: 1 }, 'lora_int_id: /v1/load_lora_ad', 400],
    [
      'another base',
      { lora_name: 'a', lora_path: 'b', base_model_name: 'c' },
      'base_model_name: ',
      400,
    ],
    ['no folder', { lora_name: 'cow', lora_path: './nowhere/at/all' }, './nowhere/at/all: ', 404],
    ['a rank', { lora_name: 'cow', lora_path: write('wide', 4, 16) }, 'maxLoraRank: expec', 400],
  ])('are refused: %s', async (_, body, message, status) => {
    const response = await load(body)
    expect(response.status).toBe(status)
    expect((await errorOf(response)).message).toContain(message)
    expect(engine.loras.names).toEqual(['cat', 'dog'])
  })
})

describe('a server that lets no client load adapters', async () => {
  const closed = await TestServer.start({}, { maxModelLen: 64 })

  test.each(['/v1/load_lora_adapter', '/v1/unload_lora_adapter'])('%s', async (path) => {
    const response = await closed.post(path, { lora_name: 'a', lora_path: PATHS.cat })
    expect(response.status).toBe(404)
    expect((await errorOf(response)).message).toContain('needs allowRuntimeLoraUpdating')
  })

  test('has no gauge of adapters without enableLora', async () => {
    expect(await (await fetch(`${closed.url}/metrics`)).text()).not.toContain('lora_requests_info')
  })
})

test('to load adapters needs an API key where there are keys, and enableLora', async () => {
  const options = { allowRuntimeLoraUpdating: true, apiKeys: ['secret'] }
  const guarded = await TestServer.start(options, { maxModelLen: 64 })
  const body = { lora_name: 'a', lora_path: PATHS.cat }
  const ask = (headers: Record<string, string>) =>
    guarded.post('/v1/load_lora_adapter', body, { headers })
  expect((await ask({})).status).toBe(401)
  const allowed = await ask({ 'x-api-key': 'secret' })
  expect([allowed.status, (await errorOf(allowed)).message]).toEqual([
    400,
    'loraRequest: needs enableLora',
  ])
})
