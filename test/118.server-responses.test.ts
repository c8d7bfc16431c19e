import OpenAI from 'openai'
import { zodTextFormat } from 'openai/helpers/zod'
import type { ResponseStreamEvent } from 'openai/resources/responses/responses'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { OutputDelta } from '../lib/index.js'
import { turnsOfItems } from '../lib/openai/responses/items.js'
import { ItemWriter } from '../lib/openai/responses/writer.js'
import { TestServer } from './support/server.js'

const server = await TestServer.start({ maxStoredResponses: 3 }, { maxModelLen: 1024 })
const { client, engine } = server
const model = 'demo'
const greedy = { model, temperature: 0 } as const
const question = 'What is the capital of France?'

afterEach(() => server.settled())

/** What the engine says to a chat. */
const said = async (...messages: [role: string, content: string][]) => {
  const turns = messages.map(([role, content]) => ({ role, content }))
  return (await engine.chat(turns, { temperature: 0 })).outputs[0]!.text
}

const weather = {
  type: 'function' as const,
  name: 'weather',
  description: 'The weather in a city',
  strict: true,
  parameters: {
    type: 'object',
    properties: { city: { enum: ['Paris', 'Rome'] } },
    required: ['city'],
    additionalProperties: false,
  },
}

const collect = async (stream: AsyncIterable<ResponseStreamEvent>) => {
  const events: ResponseStreamEvent[] = []
  for await (const event of stream) events.push(event)
  return events
}

describe('a whole response', () => {
  test('of a text', async () => {
    const response = await client.responses.create({ ...greedy, input: question })
    expect(response.output_text).toBe(await said(['user', question]))
    expect(response).toMatchObject({
      object: 'response',
      status: 'completed',
      model,
      error: null,
      incomplete_details: null,
      temperature: 0,
      top_p: 1,
      tool_choice: 'auto',
      tools: [],
      store: true,
      text: { format: { type: 'text' } },
      output: [{ type: 'message', role: 'assistant', status: 'completed' }],
    })
    const { input_tokens, output_tokens, total_tokens } = response.usage!
    expect(total_tokens).toBe(input_tokens + output_tokens)
    expect(output_tokens).toBeGreaterThan(3)
  })

  test('of items, with instructions', async () => {
    const response = await client.responses.create({
      ...greedy,
      instructions: 'Answer in one sentence.',
      input: [
        { role: 'user', content: [{ type: 'input_text', text: 'What does a cat say?' }] },
        { role: 'assistant', content: 'A cat says meow.' },
        { role: 'user', content: question },
      ],
    })
    const turns: [string, string][] = [
      ['system', 'Answer in one sentence.'],
      ['user', 'What does a cat say?'],
      ['assistant', 'A cat says meow.'],
      ['user', question],
    ]
    expect(response.output_text).toBe(await said(...turns))
    expect(response.instructions).toBe('Answer in one sentence.')
  })

  test('of messages of one role, which are one turn', async () => {
    const response = await client.responses.create({
      ...{ ...greedy, instructions: 'Answer' },
      input: [
        { role: 'developer', content: 'in one sentence.' },
        { role: 'user', content: 'Hi.' },
        { role: 'user', content: question },
      ],
    })
    const turns = [
      { role: 'system', content: 'Answer\nin one sentence.' },
      { role: 'user', content: `Hi.\n${question}` },
    ]
    const { promptTokenIds } = await engine.chat(turns, { maxTokens: 1 })
    expect(response.usage!.input_tokens).toBe(promptTokenIds.length)
  })

  test('that max_output_tokens cuts', async () => {
    const asked = { ...greedy, input: 'Tell me a story.', max_output_tokens: 3 }
    const response = await client.responses.create(asked)
    expect(response.status).toBe('incomplete')
    expect(response.incomplete_details).toEqual({ reason: 'max_output_tokens' })
    expect(response.usage!.output_tokens).toBe(3)
    expect(response.output[0]).toMatchObject({ status: 'incomplete' })
  })

  test('that follows a schema, parsed by the client', async () => {
    const person = z.object({ name: z.string().max(10), age: z.number().int().min(0).max(99) })
    const response = await client.responses.parse({
      ...greedy,
      input: 'Make up a person.',
      text: { format: zodTextFormat(person, 'person') },
    })
    expect(person.parse(response.output_parsed)).toEqual(response.output_parsed)
    expect(response.text!.format).toMatchObject({ type: 'json_schema', name: 'person' })
  })

  test('with log-probabilities', async () => {
    const { output } = await client.responses.create({
      ...greedy,
      input: question,
      include: ['message.output_text.logprobs'],
      top_logprobs: 2,
    })
    const [item] = output
    const part = item?.type === 'message' ? item.content[0] : undefined
    if (part?.type !== 'output_text') throw new Error('expected a text')
    expect(part.logprobs!.map(({ token }) => token).join('')).toContain(part.text)
    for (const { logprob, top_logprobs, bytes } of part.logprobs!) {
      expect(logprob).toBeLessThanOrEqual(0)
      expect(top_logprobs).toHaveLength(2)
      expect(bytes.length).toBeGreaterThanOrEqual(0)
    }
  })
})

describe('calls of functions', () => {
  test('a forced one, and what follows its output', async () => {
    const asked = { ...greedy, tools: [weather], input: 'How is the weather in Rome?' }
    const response = await client.responses.create({ ...asked, tool_choice: 'required' })
    const [call] = response.output
    if (call?.type !== 'function_call') throw new Error('expected a call')
    expect(call.name).toBe('weather')
    expect(['Paris', 'Rome']).toContain((JSON.parse(call.arguments) as { city: string }).city)
    expect(call.call_id).toMatch(/^call_/)
    const output = { type: 'function_call_output' as const, call_id: call.call_id, output: 'sunny' }
    const whole = await client.responses.create({
      ...greedy,
      input: [{ role: 'user', content: asked.input }, call, output],
    })
    const resumed = await client.responses.create({
      ...greedy,
      previous_response_id: response.id,
      input: [output],
    })
    expect(whole.status).toBe('completed')
    expect(resumed.output_text).toBe(whole.output_text)
    expect(resumed.usage!.input_tokens).toBe(whole.usage!.input_tokens)
  })

  test.each<[string, OpenAI.Responses.ResponseCreateParams['tool_choice']]>([
    ['a function', { type: 'function', name: 'weather' }],
    [
      'allowed tools',
      { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'weather' }] },
    ],
  ])('tool_choice of %s', async (_, tool_choice) => {
    const other = { ...weather, name: 'other' }
    const { output } = await client.responses.create({
      ...{ ...greedy, tools: [other, weather], tool_choice, input: 'Hi' },
    })
    expect(output).toMatchObject([{ type: 'function_call', name: 'weather', status: 'completed' }])
  })
})

describe('functions of a namespace', () => {
  const namespace = { type: 'namespace', name: 'places', description: 'Places', tools: [weather] }
  const tools = [namespace] as unknown as OpenAI.Responses.Tool[]
  const asked = { ...greedy, tools, tool_choice: 'required', input: 'Hi' } as const

  test('are called by their own names', async () => {
    const response = await client.responses.create(asked)
    const call = { type: 'function_call', namespace: 'places', name: 'weather' }
    expect(response.output).toMatchObject([call])
    expect(response.tools).toEqual([namespace])
    const events = await collect(await client.responses.create({ ...asked, stream: true }))
    expect(events.filter(({ type }) => type === 'response.output_item.done')).toMatchObject([
      { item: call },
    ])
  })

  test('have one name for templates', () => {
    const call = { type: 'function_call', call_id: 'a', namespace: 'places', name: 'weather' }
    const output = { type: 'function_call_output', call_id: 'a', output: 'sunny' }
    expect(turnsOfItems([{ ...call, arguments: '{}' }, output])).toMatchObject([
      { tool_calls: [{ function: { name: 'places__weather', arguments: '{}' } }] },
      { role: 'tool', name: 'places__weather', content: 'sunny' },
    ])
  })
})

test('what agents send beside is granted', async () => {
  const response = await client.responses.create({
    ...{ ...greedy, input: 'Hi', max_output_tokens: 2, store: false },
    ...{ include: ['reasoning.encrypted_content'], reasoning: { summary: 'auto' } },
    ...{ prompt_cache_key: 'k', client_metadata: { thread_id: 't' } },
  })
  expect(response.output).toMatchObject([{ type: 'message' }])
})

describe('a streamed response', () => {
  test("has OpenAI's events in their order, and adds up to the whole", async () => {
    const asked = { ...greedy, input: question }
    const events = await collect(await client.responses.create({ ...asked, stream: true }))
    const types = events.map(({ type }) => type)
    expect(types.filter((type) => type !== 'response.output_text.delta')).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ])
    expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, i) => i))
    const text = events
      .map((event) => (event.type === 'response.output_text.delta' ? event.delta : ''))
      .join('')
    const last = events.at(-1)!
    const whole = await client.responses.create(asked)
    expect(text).toBe(whole.output_text)
    if (last.type !== 'response.completed') throw new Error('expected the end')
    expect(last.response.usage).toMatchObject({ output_tokens: whole.usage!.output_tokens })
    expect(types.filter((type) => type === 'response.output_text.delta').length).toBeGreaterThan(3)
  })

  test("the client's helper puts it together", async () => {
    const stream = client.responses.stream({ ...greedy, input: question })
    const response = await stream.finalResponse()
    expect(response.output_text).toBe(await said(['user', question]))
  })

  test('of a call', async () => {
    const events = await collect(
      await client.responses.create({
        ...{ ...greedy, tools: [weather], tool_choice: 'required', input: 'Hi', stream: true },
      }),
    )
    expect(events.map(({ type }) => type)).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.function_call_arguments.delta',
      'response.function_call_arguments.done',
      'response.output_item.done',
      'response.completed',
    ])
  })

  test('that is cut ends as incomplete', async () => {
    const asked = { ...greedy, input: 'Tell me a story.', max_output_tokens: 3 }
    const events = await collect(await client.responses.create({ ...asked, stream: true }))
    expect(events.at(-1)!.type).toBe('response.incomplete')
  })

  test('whose reader leaves ends', async () => {
    const stream = await client.responses.create({ ...greedy, input: 'A story.', stream: true })
    for await (const { type } of stream) if (type === 'response.output_text.delta') break
    await server.settled()
  })
})

test('thoughts come before the text, as an item of their own', () => {
  const writer = new ItemWriter(null, new Map())
  const delta: OutputDelta = {
    ...{ requestId: 'a', index: 0, text: '', tokenIds: [1], finishReason: null, stopReason: null },
  }
  const none = { content: '', reasoning: '', toolCalls: [] }
  const events = [
    ...writer.write({ ...none, reasoning: 'Hm, ' }, delta),
    ...writer.write({ ...none, reasoning: 'yes.' }, delta),
    ...writer.write({ ...none, content: 'Yes.' }, delta),
    ...writer.end('completed'),
  ]
  expect(events.map(({ type }) => type.replace('response.', ''))).toEqual([
    ...['output_item.added', 'content_part.added', 'reasoning_text.delta', 'reasoning_text.delta'],
    ...['reasoning_text.done', 'content_part.done', 'output_item.done'],
    ...['output_item.added', 'content_part.added', 'output_text.delta'],
    ...['output_text.done', 'content_part.done', 'output_item.done'],
  ])
  expect(writer.items).toMatchObject([
    { type: 'reasoning', content: [{ type: 'reasoning_text', text: 'Hm, yes.' }], summary: [] },
    { type: 'message', content: [{ type: 'output_text', text: 'Yes.' }] },
  ])
  expect(events.map(({ output_index }) => output_index)).toEqual([
    ...Array<number>(7).fill(0),
    ...Array<number>(6).fill(1),
  ])
})

describe('kept responses', () => {
  test('are given, gone on with and deleted', async () => {
    const first = await client.responses.create({ ...greedy, input: 'What does a cat say?' })
    expect((await client.responses.retrieve(first.id)).output_text).toBe(first.output_text)
    const { data } = await client.responses.inputItems.list(first.id)
    expect(data).toMatchObject([{ type: 'message', role: 'user' }])
    const next = { ...greedy, previous_response_id: first.id, input: question }
    const second = await client.responses.create(next)
    expect(second.previous_response_id).toBe(first.id)
    expect(second.output_text).toBe(
      await said(
        ['user', 'What does a cat say?'],
        ['assistant', first.output_text],
        ['user', question],
      ),
    )
    await client.responses.delete(first.id)
    await expect(client.responses.retrieve(first.id)).rejects.toThrow(OpenAI.NotFoundError)
    await expect(client.responses.create(next)).rejects.toThrow(/previous_response_id: no response/)
  })

  test('lend their items to references', async () => {
    const asked = { ...greedy, tools: [weather], input: 'How is the weather in Rome?' }
    const { output } = await client.responses.create({ ...asked, tool_choice: 'required' })
    const [call] = output
    if (call?.type !== 'function_call') throw new Error('expected a call')
    const result = { type: 'function_call_output' as const, call_id: call.call_id, output: 'sunny' }
    const question = { role: 'user' as const, content: asked.input }
    const reference = { type: 'item_reference' as const, id: call.id! }
    const whole = await client.responses.create({ ...greedy, input: [question, call, result] })
    const lent = await client.responses.create({ ...greedy, input: [question, reference, result] })
    expect(lent.output_text).toBe(whole.output_text)
    expect(lent.usage!.input_tokens).toBe(whole.usage!.input_tokens)
    const lost = { type: 'item_reference' as const, id: 'fc_0' }
    await expect(client.responses.create({ ...greedy, input: [lost] })).rejects.toThrow(
      /input\[0\]: no item "fc_0" of a response that is kept/,
    )
  })

  test('are not kept with store false, and only so many are', async () => {
    const short = { ...greedy, input: 'Hi', max_output_tokens: 1 }
    const unstored = await client.responses.create({ ...short, store: false })
    await expect(client.responses.retrieve(unstored.id)).rejects.toThrow(OpenAI.NotFoundError)
    const ids: string[] = []
    for (let i = 0; i < 4; i++) ids.push((await client.responses.create(short)).id)
    await expect(client.responses.retrieve(ids[0]!)).rejects.toThrow(OpenAI.NotFoundError)
    expect((await client.responses.retrieve(ids[1]!)).id).toBe(ids[1])
  })
})

describe('refused', () => {
  test.each<[string, object, RegExp]>([
    ['no input', { input: undefined }, /input: expected a string or an array of items/],
    ['no item', { input: [] }, /input: expected at least one item/],
    ['a role', { input: [{ role: 'narrator', content: 'x' }] }, /input\[0\]\.role: expected user/],
    [
      'an image',
      { input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] },
      /input\[0\]\.content\[0\]: parts of type input_image are not supported/,
    ],
    ['an item', { input: [{ type: 'web_search_call' }] }, /items of type web_search_call/],
    ['a tool', { tools: [{ type: 'web_search' }] }, /tools\[0\]: tools of type web_search/],
    ['the background', { background: true }, /background: not supported/],
    ['truncation', { truncation: 'auto' }, /truncation: not supported/],
    ['a conversation', { conversation: 'conv_1' }, /conversation: not supported/],
    ['how much it says', { text: { verbosity: 'low' } }, /text\.verbosity: not supported/],
    ['a summary', { reasoning: { summary: 'concise' } }, /reasoning\.summary: not supported/],
    ['an inclusion', { include: ['file_search_call.results'] }, /include\[0\]: only/],
    [
      'a tool of a namespace',
      { tools: [{ type: 'namespace', name: 'n', tools: [{ type: 'custom', name: 'f' }] }] },
      /tools\[0\]\.tools\[0\]: tools of type custom/,
    ],
    [
      'a namespace without a name',
      { tools: [{ type: 'namespace', tools: [weather] }] },
      /tools\[0\]\.name: expected a string/,
    ],
    ['a format', { text: { format: { type: 'xml' } } }, /text\.format\.type: expected 'text'/],
    ['no schema', { text: { format: { type: 'json_schema' } } }, /text\.format\.schema: expected/],
    ['a wrong number', { temperature: -1 }, /temperature: expected/],
    ['tokens', { max_output_tokens: 0 }, /max_output_tokens: expected/],
    ['an unknown field', { max_tokens: 1 }, /max_tokens: \/v1\/responses has no such field/],
    ['logprobs that are not included', { top_logprobs: 2 }, /top_logprobs: expected 0 unless/],
    [
      'a function that is not there',
      { tools: [weather], tool_choice: { type: 'function', name: 'x' } },
      /^tool_choice\.name: expected the name of one of tools/,
    ],
    [
      'a forced call of another shape',
      { tools: [weather], tool_choice: 'required', structured_outputs: { choice: ['a'] } },
      /^tool_choice: expected 'auto' or 'none' beside structured_outputs/,
    ],
  ])('%s', async (_, fields, message) => {
    for (const stream of [false, true]) {
      const response = await server.post('/v1/responses', { input: 'Hi', stream, ...fields })
      expect(response.status).toBe(400)
      const { error } = (await response.json()) as { error: OpenAI.ErrorObject }
      expect(error.message).toMatch(message)
      expect(error.type).toBe('invalid_request_error')
    }
  })
})
