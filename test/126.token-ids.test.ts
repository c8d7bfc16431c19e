import { afterEach, expect, test } from 'vitest'
import { TestServer } from './support/server.js'

// return_token_ids: the ids of the prompt and of what was drawn, where vLLM has them.
const server = await TestServer.start()
const { engine } = server
afterEach(() => server.settled())

interface Choice {
  readonly index: number
  readonly token_ids?: number[]
  readonly prompt_token_ids?: number[]
}
interface Body {
  readonly choices: readonly Choice[]
  readonly prompt_token_ids?: number[]
}

const read = async (path: string, body: object) =>
  (await (await server.post(path, body)).json()) as Body
const readChunks = async (path: string, body: object) => {
  const text = await (await server.post(path, { ...body, stream: true })).text()
  const events = text.trimEnd().split('\n\n').slice(0, -1)
  return events.map((event) => JSON.parse(event.slice('data: '.length)) as Body)
}
const idsOf = (chunks: readonly Body[], index: number) =>
  chunks.flatMap(({ choices }) =>
    choices.flatMap((choice) => (choice.index === index ? (choice.token_ids ?? []) : [])),
  )

const shared = { temperature: 0, max_tokens: 6, return_token_ids: true }
const greedy = { temperature: 0, maxTokens: 6 }

test('of completions: with each choice, and with the first chunk of each', async () => {
  const prompt = ['Once upon a time', 'The sea']
  const outputs = await engine.generate(prompt, greedy)
  const wanted = outputs.map(({ promptTokenIds, outputs: [output] }) => ({
    prompt_token_ids: promptTokenIds,
    token_ids: output!.tokenIds,
  }))
  const { choices } = await read('/v1/completions', { ...shared, prompt })
  expect(choices).toMatchObject(wanted)
  // The stop holds text back: its tokens come all the same.
  const streamed = { ...shared, prompt, stop: ['never to be found'] }
  const chunks = await readChunks('/v1/completions', streamed)
  for (const [index, { prompt_token_ids, token_ids }] of wanted.entries()) {
    expect(idsOf(chunks, index)).toEqual(token_ids)
    const own = chunks.flatMap(({ choices }) => choices).filter((choice) => choice.index === index)
    expect(own[0]).toMatchObject({ prompt_token_ids })
    for (const later of own.slice(1)) expect(later).not.toHaveProperty('prompt_token_ids')
  }
})

test('of chats: those of the prompt beside the choices, of a stream in its first chunk', async () => {
  const messages = [{ role: 'user', content: 'Hi' }]
  const { promptTokenIds, outputs } = await engine.chat(messages, greedy)
  const body = await read('/v1/chat/completions', { ...shared, messages })
  expect(body.prompt_token_ids).toEqual(promptTokenIds)
  expect(body.choices[0]!.token_ids).toEqual(outputs[0]!.tokenIds)
  const [first, ...rest] = await readChunks('/v1/chat/completions', { ...shared, messages })
  expect(first).toMatchObject({ prompt_token_ids: promptTokenIds })
  for (const chunk of rest) expect(chunk).not.toHaveProperty('prompt_token_ids')
  expect(idsOf(rest, 0)).toEqual(outputs[0]!.tokenIds)
})

test('of neither unless they are asked for', async () => {
  const messages = [{ role: 'user', content: 'Hi' }]
  for (const [path, body] of [
    ['/v1/completions', { prompt: 'Once', max_tokens: 2 }],
    ['/v1/chat/completions', { messages, max_tokens: 2 }],
  ] as const) {
    expect(JSON.stringify(await read(path, body))).not.toContain('token_ids')
    expect(JSON.stringify(await readChunks(path, body))).not.toContain('token_ids')
  }
})
