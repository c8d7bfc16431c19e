import Anthropic from '@anthropic-ai/sdk'
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema'
import { expect, test } from 'vitest'
import { parseMessagesRequest } from '../lib/anthropic/request.js'
import { readTurns } from '../lib/anthropic/turns.js'
import { asked, client, folder, question, server, weather } from './support/messages.js'
import { TestServer } from './support/server.js'

test('a key comes as Bearer too', async () => {
  const bearer = new Anthropic({ baseURL: server.url, apiKey: null, authToken: 'secret' })
  expect((await bearer.messages.create({ ...asked, max_tokens: 1 })).type).toBe('message')
})

test('what agents send beside is granted', async () => {
  const cache_control = { type: 'ephemeral' } as const
  const beside = { cache_control, citations: null }
  const call = { type: 'tool_use', id: 'a', name: 'weather', input: {} } as const
  const message = await client.beta.messages.create({
    ...{ ...asked, service_tier: 'auto', thinking: { type: 'disabled' }, cache_control },
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'Hi', ...beside }] },
      { role: 'assistant', content: [{ ...call, caller: { type: 'direct' }, cache_control }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', ...beside }] },
    ],
    tools: [{ ...weather, cache_control, strict: false, eager_input_streaming: true }],
    tool_choice: { type: 'auto', disable_parallel_tool_use: false },
    context_management: { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }] },
    betas: ['context-management-2025-06-27'],
  })
  expect(message.type).toBe('message')
})

test("the client's tool runner, which asks for a thread first, goes on without one", async () => {
  const inputSchema = {
    type: 'object',
    properties: { city: { enum: ['Rome'] } },
    required: ['city'],
    additionalProperties: false,
  } as const
  const cities: unknown[] = []
  const run = ({ city }: { city?: unknown }) => {
    cities.push(city)
    return 'sunny'
  }
  const message = await client.beta.messages.toolRunner({
    ...{ ...asked, tool_choice: { type: 'any' }, max_iterations: 2 },
    tools: [betaTool({ name: 'weather', description: 'The weather', inputSchema, run })],
  })
  expect(message.stop_reason).toBe('tool_use')
  expect(cities).toEqual(['Rome', 'Rome'])
})

test('tools that wait are there once a result refers to them', async () => {
  const search = { ...weather, name: 'search' }
  const tools = [search, { ...weather, defer_loading: true }]
  const found = [
    question,
    { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'search', input: {} }] },
    {
      role: 'user',
      content: [
        {
          ...{ type: 'tool_result', tool_use_id: 'a' },
          content: [{ type: 'tool_reference', tool_name: 'weather' }],
        },
      ],
    },
  ] as Anthropic.Beta.BetaMessageParam[]
  const offered = (messages: object[]) =>
    parseMessagesRequest({ messages, tools }).chat.tools?.map(
      (tool) => (tool as { function: { name: string } }).function.name,
    )
  expect(offered([question])).toEqual(['search'])
  expect(offered(found)).toEqual(['search', 'weather'])
  expect(parseMessagesRequest({ messages: found }).turns.at(-1)).toMatchObject({
    content: [{ type: 'text', text: 'Tool found: weather\n' }],
  })
  const message = await client.beta.messages.create({ ...asked, messages: found, tools })
  expect(message.type).toBe('message')
})

test("a template that refuses a system's message behind others is told of so that agents send none", async () => {
  const strict = await TestServer.start(
    {},
    {
      ...{ model: folder, maxModelLen: 1024 },
      chatTemplate:
        "{% for message in messages %}{% if message.role == 'system' and not loop.first %}" +
        "{{ raise_exception('System comes first.') }}{% endif %}{{ message.content }}{% endfor %}",
    },
  )
  const ask = async (...messages: object[]) => {
    const response = await strict.post('/v1/messages', { max_tokens: 1, messages })
    return { status: response.status, ...((await response.json()) as object) }
  }
  expect(await ask(question, { role: 'system', content: 'Be brief.' })).toMatchObject({
    status: 400,
    error: {
      message: expect.stringMatching(
        /^chat template: System comes first\. .*role 'system' .* not supported/,
      ) as string,
    },
  })
  expect(await ask(question)).toMatchObject({ status: 200 })
})

test('messages become turns', () => {
  const call = { type: 'tool_use', id: 'a', name: 'f', input: { x: 1 } }
  const { turns } = readTurns({
    system: 'Be brief.',
    messages: [
      { role: 'user', content: 'One.' },
      { role: 'user', content: [{ type: 'text', text: 'Two.' }] },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'Hm.', signature: 's' },
          { type: 'text', text: 'I look.' },
          call,
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'a', is_error: true, content: 'no' },
          { type: 'text', text: 'Go on.' },
        ],
      },
      { role: 'assistant', content: [{ type: 'redacted_thinking', data: 'x' }, call] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a' }] },
    ],
  })
  const text = (...texts: string[]) => texts.map((each) => ({ type: 'text', text: each }))
  const tool_calls = [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{"x":1}' } }]
  expect(turns).toEqual([
    { role: 'system', content: text('Be brief.') },
    { role: 'user', content: text('One.', 'Two.') },
    { role: 'assistant', content: text('I look.'), reasoning_content: 'Hm.', tool_calls },
    { role: 'tool', tool_call_id: 'a', name: 'f', content: 'no', is_error: true },
    { role: 'user', content: text('Go on.') },
    { role: 'assistant', content: [], tool_calls },
    { role: 'tool', tool_call_id: 'a', name: 'f', content: '' },
  ])
})
