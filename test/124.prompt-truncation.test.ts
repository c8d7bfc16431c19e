import { afterEach, describe, expect, test } from 'vitest'
import { TestServer } from './support/server.js'

const server = await TestServer.start({}, { maxModelLen: 32 })
const { engine } = server
const greedy = { temperature: 0, maxTokens: 4 }
const text = 'Once upon a time there was a dog who lived by the sea. '.repeat(4)
const tokens = [...(await engine.text.tokenize(text))]

afterEach(() => server.settled())

describe('the last tokens of a prompt', () => {
  const last = tokens.slice(-10)

  test('are continued as they alone', async () => {
    const [wanted] = await engine.generate({ promptTokenIds: last }, greedy)
    for (const prompt of [text, { promptTokenIds: tokens }]) {
      const [output] = await engine.generate(prompt, { ...greedy, truncatePromptTokens: 10 })
      expect(output!.promptTokenIds).toEqual(last)
      expect(output!.outputs[0]!.tokenIds).toEqual(wanted!.outputs[0]!.tokenIds)
    }
  })

  test('are the text of the prompt', async () => {
    const [output] = await engine.generate(text, { ...greedy, truncatePromptTokens: 10 })
    expect(output!.prompt).toBe(engine.text.detokenize(last))
    const [whole] = await engine.generate('Once', { ...greedy, truncatePromptTokens: 10 })
    expect(whole!.prompt).toBe('Once')
  })

  test('are embedded as they alone', async () => {
    const [wanted] = await engine.embed({ promptTokenIds: last })
    const [output] = await engine.embed(text, { truncatePromptTokens: 10 })
    expect(output!.embedding).toEqual(wanted!.embedding)
  })

  test('end a chat', async () => {
    const messages = [{ role: 'user', content: text }]
    const whole = await engine.text.tokenize(engine.text.renderChat(messages), {
      addSpecialTokens: false,
    })
    const output = await engine.chat(messages, { ...greedy, truncatePromptTokens: 12 })
    expect(output.promptTokenIds).toEqual([...whole.slice(-12)])
  })
})

test('−1 keeps what the model takes beside what may be drawn', async () => {
  const length = async (options: object) =>
    (await engine.generate(text, { ...options, truncatePromptTokens: -1 }))[0]!.promptTokenIds
      .length
  expect(tokens.length).toBeGreaterThan(32)
  expect(await length({ maxTokens: 4 })).toBe(28)
  expect(await length({ maxTokens: 100 })).toBe(1)
  const chat = await engine.chat([{ role: 'user', content: text }], { truncatePromptTokens: -1 })
  expect(chat.promptTokenIds).toHaveLength(31)
  const [output] = await engine.embed(text, { truncatePromptTokens: -1 })
  expect(output!.promptTokenIds).toEqual(tokens.slice(-32))
})

test.each<[string, object]>([
  ['/v1/completions', { prompt: text, max_tokens: 4 }],
  ['/v1/chat/completions', { messages: [{ role: 'user', content: text }], max_tokens: 4 }],
  ['/v1/embeddings', { input: text }],
])('%s counts the tokens that were kept', async (path, body) => {
  expect((await server.post(path, body)).status).toBe(400)
  const response = await server.post(path, { ...body, truncate_prompt_tokens: 9 })
  expect(await response.json()).toMatchObject({ usage: { prompt_tokens: 9 } })
  const refused = await server.post(path, { ...body, truncate_prompt_tokens: 0 })
  expect(await refused.json()).toMatchObject({
    error: {
      message: 'truncate_prompt_tokens: expected -1 or an integer of at least 1, found 0',
      param: 'truncate_prompt_tokens',
    },
  })
})

test('vectors are not cut', async () => {
  const promptEmbeds = { data: new Float32Array(2 * 128), shape: [2, 128] as const }
  await expect(engine.generate({ promptEmbeds }, { truncatePromptTokens: 1 })).rejects.toThrow(
    'truncatePromptTokens: expected none beside promptEmbeds, found 1',
  )
})
