import { afterEach, expect, test } from 'vitest'
import { TestServer } from './support/server.js'

const server = await TestServer.start({ maxPrompts: 3 }, { maxModelLen: 64 })
const { engine } = server

afterEach(() => server.settled())

interface Scores {
  id: string
  object: string
  model: string
  data: { index: number; object: string; score: number }[]
  usage: object
}
interface Ranking {
  id: string
  model: string
  results: { index: number; document?: { text: string }; relevance_score: number }[]
  usage: object
}

async function post<T>(path: string, body: object): Promise<T> {
  const response = await server.post(path, body)
  expect(response.status).toBe(200)
  return (await response.json()) as T
}

/** In float64, of embeddings as they are. */
async function cosine(one: string, other: string, pooling: 'last' | 'mean' = 'last') {
  const [a, b] = await engine.embed([one, other], { normalize: false, pooling })
  const product = (x: Float32Array, y: Float32Array) =>
    Array.from(x).reduce((sum, value, i) => sum + value * y[i]!, 0)
  const [x, y] = [a!.embedding, b!.embedding]
  return product(x, y) / Math.sqrt(product(x, x) * product(y, y))
}

const tokensOf = async (texts: readonly string[]) => {
  const all = await Promise.all(texts.map((text) => engine.text.tokenize(text)))
  return all.reduce((sum, { length }) => sum + length, 0)
}

test.each(['/score', '/v1/score'])('%s compares one text with each of others', async (path) => {
  const others = ['A small cat.', 'The sun is hot.', 'A cat.']
  const { data, model, object, id, usage } = await post<Scores>(path, {
    text_1: 'A cat.',
    text_2: others,
  })
  expect([model, object, id]).toEqual(['demo', 'list', expect.stringMatching(/^score-\w{32}$/)])
  expect(data.map(({ index, object }) => [index, object])).toEqual(
    [0, 1, 2].map((i) => [i, 'score']),
  )
  for (const { index, score } of data)
    expect(score).toBeCloseTo(await cosine('A cat.', others[index]!), 5)
  expect(data[2]!.score).toBeCloseTo(1, 5)
  const tokens = await tokensOf(['A cat.', ...others])
  expect(usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens })
})

test('texts at the same places are compared, as the fields of embeddings say', async () => {
  const [ones, others] = [
    ['A cat.', 'The sun.'],
    ['A dog.', 'The moon.'],
  ]
  const asked = { text_1: ones, text_2: others, pooling: 'mean', model: 'demo' }
  const { data } = await post<Scores>('/v1/score', asked)
  const wanted = await Promise.all(ones.map((one, i) => cosine(one, others[i]!, 'mean')))
  expect(data).toHaveLength(2)
  data.forEach(({ score }, i) => expect(score).toBeCloseTo(wanted[i]!, 5))
})

const documents = ['The sun is hot.', 'A cat.', { text: 'A small cat.' }]

test.each(['/rerank', '/v1/rerank', '/v2/rerank'])(
  '%s puts the best documents first',
  async (path) => {
    const { results, id, model, usage } = await post<Ranking>(path, { query: 'A cat.', documents })
    expect([id, model]).toEqual([expect.stringMatching(/^rerank-\w{32}$/), 'demo'])
    const texts = documents.map((document) =>
      typeof document === 'string' ? document : document.text,
    )
    const scores = await Promise.all(texts.map((text) => cosine('A cat.', text)))
    const order = [...texts.keys()].sort((a, b) => scores[b]! - scores[a]!)
    expect(order[0]).toBe(1)
    expect(results.map(({ index }) => index)).toEqual(order)
    for (const { index, document, relevance_score: score } of results) {
      expect(document).toEqual({ text: texts[index] })
      expect(score).toBeCloseTo(scores[index]!, 5)
    }
    expect(usage).toHaveProperty('total_tokens', await tokensOf(['A cat.', ...texts]))
  },
)

test('the best documents alone, without their texts', async () => {
  const asked = { query: 'A cat.', documents, top_n: 1, return_documents: false }
  const { results } = await post<Ranking>('/v1/rerank', asked)
  expect(results).toEqual([{ index: 1, relevance_score: expect.closeTo(1, 5) as number }])
})

test.each<[string, object, string]>([
  ['/v1/score', { text_2: 'a' }, 'text_1: expected a string, an array of strings, or token ids'],
  [
    '/v1/score',
    { text_1: ['a', 'b'], text_2: 'a' },
    'text_1: expected one text, or as many as text_2 has (1), found 2',
  ],
  [
    '/v1/score',
    { text_1: 'a', text_2: ['a', 'b', 'c', 'd'] },
    'text_2: expected at most 3, found 4',
  ],
  [
    '/v1/score',
    { text_1: 'a', text_2: ['a', 'b '.repeat(200)] },
    'text_2: expected at most maxModelLen tokens',
  ],
  ['/v1/rerank', { documents: ['a'] }, 'query: expected a string, found undefined'],
  ['/v1/rerank', { query: 'a', documents: [] }, 'documents: expected at least one'],
  [
    '/v1/rerank',
    { query: 'a', documents: ['a', 5] },
    'documents[1]: expected a string or { text }, found 5',
  ],
  ['/v1/rerank', { query: 'a', documents: [{}] }, 'documents[0].text: expected a string'],
  ['/v1/rerank', { query: 'a', documents: 'a' }, 'documents: expected an array'],
  ['/v1/rerank', { query: 'a', documents: ['a'], top_n: -1 }, 'top_n: expected'],
  ['/v1/rerank', { query: 'a', documents: ['a'], top: 1 }, 'top: /v1/rerank has no such field'],
])('%s refuses %j', async (path, body, message) => {
  const response = await server.post(path, body)
  expect(response.status).toBe(400)
  const { error } = (await response.json()) as { error: { message: string } }
  expect(error.message).toContain(message)
})

test('a model that is not served', async () => {
  const response = await server.post('/v1/score', { model: 'x', text_1: 'a', text_2: 'b' })
  expect(response.status).toBe(404)
})
