import OpenAI from 'openai'
import { OpenAIEmbeddings } from '@langchain/openai'
import { afterEach, describe, expect, test } from 'vitest'
import { floats } from './support/models.js'
import { TestServer } from './support/server.js'

const server = await TestServer.start({ maxPrompts: 3 }, { maxModelLen: 64 })
const { client, engine } = server

afterEach(() => server.settled())

const embeddingOf = async (text: string) => [...(await engine.embed(text))[0]!.embedding]

test('the OpenAI client gets what the engine gives, by base64 as it asks for', async () => {
  const { data, model, usage, object } = await client.embeddings.create({
    model: 'demo',
    input: ['A cat.', 'A dog.'],
  })
  expect(object).toBe('list')
  expect(model).toBe('demo')
  expect(data.map(({ object, index }) => [object, index])).toEqual([
    ['embedding', 0],
    ['embedding', 1],
  ])
  expect(data[0]!.embedding).toEqual(await embeddingOf('A cat.'))
  expect(data[1]!.embedding).toEqual(await embeddingOf('A dog.'))
  const tokens = (await engine.text.tokenize('A cat.')).length * 2
  expect(usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens })
})

test('numbers and base64 are the same', async () => {
  const input = 'A cat.'
  const read = async (encoding_format: string) => {
    const response = await server.post('/v1/embeddings', { input, encoding_format })
    return ((await response.json()) as { data: [{ embedding: never }] }).data[0].embedding
  }
  const wanted = await embeddingOf(input)
  expect(await read('float')).toEqual(wanted)
  expect([...floats(await read('base64'))]).toEqual(wanted)
})

test('a text, token ids and lists of them', async () => {
  const tokens = [...(await engine.text.tokenize('A cat.'))]
  const wanted = await embeddingOf('A cat.')
  for (const input of ['A cat.', ['A cat.'], tokens, [tokens]]) {
    const { data } = await client.embeddings.create({ model: 'demo', input })
    expect(data[0]!.embedding).toEqual(wanted)
  }
})

test('dimensions and pooling', async () => {
  const [output] = await engine.embed('A cat.', { dimensions: 4, pooling: 'mean' })
  const asked = { model: 'demo', input: 'A cat.', dimensions: 4, pooling: 'mean' }
  const { data } = await client.embeddings.create(asked)
  expect(data[0]!.embedding).toEqual([...output!.embedding])
})

test('LangChain', async () => {
  const configuration = { baseURL: `${server.url}/v1` }
  const embeddings = new OpenAIEmbeddings({ model: 'demo', apiKey: 'none', configuration })
  expect(await embeddings.embedQuery('A cat.')).toEqual(await embeddingOf('A cat.'))
  expect(await embeddings.embedDocuments(['A cat.', 'A dog.'])).toHaveLength(2)
})

describe('refused', () => {
  test.each<[string, object, RegExp, string | null]>([
    ['no input', {}, /input: expected a string, an array/, 'input'],
    ['an empty list', { input: [] }, /input: expected at least one/, 'input'],
    ['too many', { input: ['a', 'b', 'c', 'd'] }, /input: expected at most 3/, 'input'],
    ['no token', { input: [[]] }, /input: expected at least one token/, 'input'],
    ['an unknown token', { input: [99999] }, /input\[0\]: expected/, 'input'],
    ['a long input', { input: Array(65).fill(5) }, /input: expected at most maxModelLen/, 'input'],
    ['an encoding', { input: 'a', encoding_format: 'hex' }, /encoding_format: /, 'encoding_format'],
    ['dimensions', { input: 'a', dimensions: 9999 }, /dimensions: expected/, 'dimensions'],
    ['a pooling', { input: 'a', pooling: 'max' }, /pooling: expected one of/, 'pooling'],
    ['an unknown field', { input: 'a', size: 1 }, /size: \/v1\/embeddings has no such/, 'size'],
  ])('%s', async (_, body, message, param) => {
    const response = await server.post('/v1/embeddings', body)
    expect(response.status).toBe(400)
    const { error } = (await response.json()) as { error: OpenAI.ErrorObject }
    expect(error).toMatchObject({ param, type: 'invalid_request_error' })
    expect(error.message).toMatch(message)
  })

  test('another model', async () => {
    const asking = client.embeddings.create({ model: 'other', input: 'a' })
    await expect(asking).rejects.toThrow(OpenAI.NotFoundError)
  })
})
