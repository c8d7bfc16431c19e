import Anthropic from '@anthropic-ai/sdk'
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema'
import { appendFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { anthropicErrorBody } from '../lib/anthropic/errors.js'
import { parseMessagesRequest } from '../lib/anthropic/request.js'
import { openAiError } from '../lib/openai/errors.js'
import { readTurns } from '../lib/anthropic/turns.js'
import { root } from './support/commands.js'
import { TestServer } from './support/server.js'

// The demo, with a template that knows of thoughts and calls.
const folder = mkdtempSync(join(tmpdir(), 'octavo-messages-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
cpSync(join(root, 'models/demo'), folder, { recursive: true })
appendFileSync(
  join(folder, 'chat_template.jinja'),
  '{# </think> <tool_call> #}{% if enable_thinking %}{{ thinking_budget }} {{ reasoning_effort }}{% endif %}',
)

const server = await TestServer.start(
  { apiKeys: ['secret'], servedModelNames: ['demo'], maxBodyBytes: 100_000 },
  { model: folder, maxModelLen: 1024 },
)
const client = new Anthropic({ baseURL: server.url, apiKey: 'secret', maxRetries: 0 })
afterEach(() => server.settled())

type Asked = Anthropic.MessageCreateParamsNonStreaming
const question: Anthropic.MessageParam = { role: 'user', content: 'What is the capital of France?' }
/** The client's types name no temperature any more. */
const greedy = { temperature: 0 }
const asked: Asked = { ...greedy, model: 'demo', max_tokens: 64, messages: [question] }
const weather: Anthropic.Tool = {
  name: 'weather',
  description: 'The weather in a city',
  input_schema: {
    type: 'object',
    properties: { city: { enum: ['Paris', 'Rome'] } },
    required: ['city'],
    additionalProperties: false,
  },
}
/** What makes the model say a text. */
const saying = (text: string) => ({ structured_outputs: { choice: [text] }, max_tokens: 200 })
const call = '<tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call>'

const said = async (...messages: [role: string, content: string][]) => {
  const turns = messages.map(([role, content]) => ({ role, content }))
  const { outputs } = await server.engine.chat(turns, { temperature: 0, maxTokens: 64 })
  return outputs[0]!
}
const textOf = ({ content: [block] }: Anthropic.Message) => {
  if (block?.type !== 'text') throw new Error('expected a text')
  return block.text
}

describe('a whole message', () => {
  test('of a text', async () => {
    const message = await client.messages.create(asked)
    const output = await said(['user', 'What is the capital of France?'])
    expect(message).toMatchObject({
      ...{ type: 'message', role: 'assistant', model: 'demo', stop_sequence: null },
      content: [{ type: 'text', text: output.text }],
      stop_reason: output.finishReason === 'stop' ? 'end_turn' : 'max_tokens',
    })
    expect(message.id).toMatch(/^msg_\w+$/)
    expect(message._request_id).toBeTruthy()
    expect(message.usage.output_tokens).toBe(output.tokenIds.length)
    const { input_tokens } = await client.messages.countTokens({
      ...{ model: 'demo', messages: [question] },
    })
    const { usage } = message
    expect(usage.input_tokens + usage.cache_read_input_tokens!).toBe(input_tokens)
  })

  test('of blocks, with a system prompt', async () => {
    const message = await client.messages.create({
      ...asked,
      system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'What does a cat say?' }] },
        { role: 'assistant', content: 'Meow.' },
        question,
      ],
      metadata: { user_id: 'u' },
    })
    const { text } = await said(
      ['system', 'Be brief.'],
      ['user', 'What does a cat say?'],
      ['assistant', 'Meow.'],
      ['user', 'What is the capital of France?'],
    )
    expect(textOf(message)).toBe(text)
  })

  test('that max_tokens cuts', async () => {
    const message = await client.messages.create({ ...asked, max_tokens: 3 })
    expect(message).toMatchObject({ stop_reason: 'max_tokens', usage: { output_tokens: 3 } })
  })

  test('that a stop sequence ends', async () => {
    const message = await client.messages.create({
      ...{ ...asked, ...saying('one two three'), stop_sequences: ['two', 'four'] },
    })
    expect(message).toMatchObject({ stop_reason: 'stop_sequence', stop_sequence: 'two' })
    expect(textOf(message)).toBe('one')
  })

  test("that goes on with the assistant's", async () => {
    const begun: Anthropic.MessageParam = { role: 'assistant', content: 'The capital of' }
    const message = await client.messages.create({ ...asked, messages: [question, begun] })
    const turns = [question, begun] as { role: string; content: string }[]
    const { outputs } = await server.engine.chat(
      turns,
      { temperature: 0, maxTokens: 64 },
      { continueFinalMessage: true },
    )
    expect(textOf(message)).toBe(outputs[0]!.text)
  })

  test('that follows a schema', async () => {
    const schema = { type: 'object', properties: { a: { enum: [7] } }, required: ['a'] }
    const message = await client.messages.create({
      ...{ ...asked, output_config: { format: { type: 'json_schema', schema } } },
    })
    expect(JSON.parse(textOf(message))).toMatchObject({ a: 7 })
  })
})

describe('tools', () => {
  test.each<[string, Anthropic.ToolChoice]>([
    ['any', { type: 'any' }],
    ['tool', { type: 'tool', name: 'weather' }],
  ])('are forced by %s, and their results are answered', async (_, tool_choice) => {
    const other = { ...weather, name: 'other' }
    const tools = tool_choice.type === 'any' ? [weather] : [other, weather]
    const message = await client.messages.create({ ...asked, tools, tool_choice })
    expect(message.stop_reason).toBe('tool_use')
    const [block] = message.content
    if (block?.type !== 'tool_use') throw new Error('expected a call')
    expect(block).toMatchObject({ name: 'weather', input: { city: expect.any(String) as string } })
    const next = await client.messages.create({
      ...{ ...asked, tools },
      messages: [
        question,
        { role: 'assistant', content: message.content },
        {
          role: 'user',
          content: [{ type: 'tool_result', tool_use_id: block.id, content: 'sunny' }],
        },
      ],
    })
    expect(next.content).toMatchObject([{ type: 'text' }])
  })

  test.each<[Anthropic.ToolChoice, object[]]>([
    [
      { type: 'auto' },
      [{ type: 'text', text: 'I look.' }, { type: 'tool_use' }, { type: 'tool_use' }],
    ],
    [
      { type: 'auto', disable_parallel_tool_use: true },
      [
        { type: 'text', text: 'I look.' },
        { type: 'tool_use', input: { city: 'Rome' } },
      ],
    ],
    [{ type: 'none' }, [{ type: 'text', text: `I look.${call}${call}` }]],
  ])('%j', async (tool_choice, content) => {
    const message = await client.messages.create({
      ...{ ...asked, ...saying(`I look.${call}${call}`), tools: [weather], tool_choice },
    })
    expect(message.content).toMatchObject(content)
    expect(message.stop_reason).toBe(content.length > 1 ? 'tool_use' : 'end_turn')
  })
})

test('a tool whose schema allows no object is answered by text', async () => {
  const input_schema = { enum: ['a'] } as unknown as Anthropic.Tool.InputSchema
  const message = await client.messages.create({
    ...{ ...asked, tools: [{ name: 'f', input_schema }], tool_choice: { type: 'any' } },
  })
  expect(JSON.parse(textOf(message))).toEqual({ name: 'f', arguments: 'a' })
  expect(message.stop_reason).toBe('end_turn')
})

describe('thoughts', () => {
  const thinking = { type: 'enabled', budget_tokens: 1024 } as const
  const thought = { ...asked, ...saying('<think>Hm.</think>Yes.') }

  test('are shown where they are asked for', async () => {
    const shown = await client.messages.create({ ...thought, thinking })
    expect(shown.content).toMatchObject([
      { type: 'thinking', thinking: 'Hm.' },
      { type: 'text', text: 'Yes.' },
    ])
    expect(shown.usage.output_tokens_details!.thinking_tokens).toBeGreaterThan(0)
    const displays = (['omitted', 'updates'] as const).map((display) => ({
      thinking: { ...thinking, display },
    }))
    for (const other of [{}, ...displays]) {
      const { content } = await client.beta.messages.create({ ...thought, ...other })
      expect(content).toMatchObject([{ type: 'text', text: 'Yes.' }])
    }
  })

  test('are turned on and off by variables of the template', () => {
    const count = async (fields: object) => {
      const body = { model: 'demo', messages: [question], ...fields }
      return (await client.messages.countTokens(body)).input_tokens
    }
    return Promise.all([
      count({}),
      count({ thinking: { type: 'disabled' } }),
      count({ thinking, output_config: { effort: 'low' } }),
    ]).then(([none, off, on]) => {
      expect(off).toBe(none)
      expect(on).toBeGreaterThan(none)
    })
  })
})

describe('a streamed message', () => {
  const collect = async (fields: object) => {
    const stream = await client.messages.create({ ...asked, ...fields, stream: true })
    const events: Anthropic.MessageStreamEvent[] = []
    for await (const event of stream) events.push(event)
    return events
  }
  const shown = (events: Anthropic.MessageStreamEvent[]) =>
    events
      .map((event) => (event.type === 'content_block_delta' ? event.delta.type : event.type))
      .filter((type, i, all) => type !== all[i - 1])

  test("has Anthropic's events in their order", async () => {
    const events = await collect({
      ...saying(`<think>Hm, well.</think>I look.${call}`),
      ...{ tools: [weather], thinking: { type: 'adaptive' } },
    })
    expect(shown(events)).toEqual([
      'message_start',
      ...['content_block_start', 'thinking_delta', 'signature_delta', 'content_block_stop'],
      ...['content_block_start', 'text_delta', 'content_block_stop'],
      ...['content_block_start', 'input_json_delta', 'content_block_stop'],
      ...['message_delta', 'message_stop'],
    ])
    const starts = events.filter((event) => event.type === 'content_block_start')
    expect(starts.map(({ index }) => index)).toEqual([0, 1, 2])
    expect(events[0]).toMatchObject({ message: { content: [], stop_reason: null } })
    expect(events.at(-2)).toMatchObject({ delta: { stop_reason: 'tool_use' } })
    const text = await (
      await server.post(
        '/v1/messages',
        { ...asked, stream: true },
        {
          headers: { 'x-api-key': 'secret' },
        },
      )
    ).text()
    expect(text).toContain('event: ping\ndata: {"type":"ping"}\n\n')
  })

  test.each<[string, object]>([
    ['of a text', {}],
    ['that is cut', { max_tokens: 2 }],
    ['that is stopped', { ...saying('one two'), stop_sequences: ['two'] }],
    ['of a forced call', { tools: [weather], tool_choice: { type: 'any' } }],
    ['of thoughts', { ...saying('<think>Hm.</think>Yes.'), thinking: { type: 'adaptive' } }],
  ])("is put together by the client's helper: %s", async (_, fields) => {
    const message = await client.messages.stream({ ...asked, ...fields }).finalMessage()
    const whole = await client.messages.create({ ...asked, ...fields })
    const withoutIds = ({ content, stop_reason, stop_sequence, usage }: Anthropic.Message) => ({
      ...{ stop_reason, stop_sequence, output_tokens: usage.output_tokens },
      content: content.map((block) => ({ ...block, id: null })),
    })
    expect(withoutIds(message)).toEqual(withoutIds(whole))
  })

  test('that fails ends with an error', async () => {
    const failing = await TestServer.start({}, { model: folder, maxModelLen: 1024 })
    const body = { messages: [question], max_tokens: 900, ignore_eos: true, stream: true }
    const reader = (await failing.post('/v1/messages', body)).body!.getReader()
    await reader.read()
    await failing.engine.close()
    let text = ''
    for (let next = await reader.read(); !next.done; next = await reader.read())
      text += Buffer.from(next.value).toString()
    const [event, data] = text.trimEnd().split('\n').slice(-2)
    expect(event).toBe('event: error')
    expect(JSON.parse(data!.replace('data: ', ''))).toMatchObject({
      ...{ type: 'error', error: { type: 'overloaded_error' } },
    })
  })

  test('whose reader leaves ends', async () => {
    const stream = client.messages.stream({ ...asked, max_tokens: 500 })
    for await (const { type } of stream) if (type === 'content_block_delta') break
    await server.settled()
  })
})

describe('refused', () => {
  const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA==' } }
  const result = (fields: object) => [
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', ...fields }] },
  ]
  const used = (fields: object) => [
    { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'f', ...fields }] },
  ]
  const redacted = { type: 'redacted_thinking', data: 'x' }
  test.each<[string, object, RegExp]>([
    ['no message', { messages: [] }, /^messages: expected at least one/],
    [
      'messages of nothing',
      { messages: [{ role: 'user', content: [] }] },
      /^messages: expected a message with content/,
    ],
    [
      'messages of thoughts that nobody can read',
      { messages: [{ role: 'assistant', content: [redacted] }] },
      /^messages: expected a message with content/,
    ],
    [
      'a field of a message',
      { messages: [{ ...question, name: 'x' }] },
      /^messages\[0\]\.name: not supported/,
    ],
    [
      'a call of no object',
      { messages: used({ input: 5 }) },
      /^messages\[0\]\.content\[0\]\.input: expected an object/,
    ],
    [
      'a failure in words',
      { messages: result({ is_error: 'yes' }) },
      /content\[0\]\.is_error: expected true or false/,
    ],
    [
      'a role',
      { messages: [{ role: 'tool', content: '' }] },
      /^messages\[0\]\.role: expected user or/,
    ],
    ['no content', { messages: [{ role: 'user' }] }, /^messages\[0\]\.content: expected an array/],
    [
      'an image',
      { messages: [{ role: 'user', content: [image] }] },
      /^messages\[0\]\.content\[0\]\.image: blocks of type image are not supported/,
    ],
    [
      'an image as a result',
      { messages: result({ content: [image] }) },
      /content\[0\]\.tool_result\.content\[0\]\.image: blocks of type image/,
    ],
    [
      'a result of no call',
      { messages: result({ tool_use_id: 5 }) },
      /tool_use_id: expected a string/,
    ],
    [
      'a prompt that is too long',
      { messages: [{ role: 'user', content: 'cat '.repeat(1100) }] },
      /^prompt is too long: expected at most 1023 tokens/,
    ],
    [
      'a found tool without a name',
      { messages: result({ content: [{ type: 'tool_reference' }] }) },
      /content\[0\]\.tool_result\.content\[0\]\.tool_name: expected a string/,
    ],
    ['a system prompt', { system: 5 }, /^system: expected an array/],
    [
      'a tool of Anthropic',
      { tools: [{ type: 'web_search_20250305', name: 'w' }] },
      /^tools\[0\]: tools of type web_search/,
    ],
    [
      'a tool without a schema',
      { tools: [{ name: 'f' }] },
      /^tools\[0\]\.input_schema: expected an object/,
    ],
    [
      'a choice',
      { tool_choice: { type: 'required' } },
      /^tool_choice\.type: expected one of 'auto'/,
    ],
    [
      'a tool that waits, in words',
      { tools: [{ ...weather, defer_loading: 'yes' }] },
      /^tools\[0\]\.defer_loading: expected true or false/,
    ],
    [
      'a tool without a name',
      { tools: [{ ...weather, name: '' }] },
      /^tools\[0\]\.name: expected a string that is not empty/,
    ],
    [
      'a choice of any one of that name',
      { tools: [weather], tool_choice: { type: 'any', name: 'weather' } },
      /^tool_choice\.name: not supported/,
    ],
    [
      'a field of a choice',
      { tool_choice: { type: 'auto', mode: 'x' } },
      /^tool_choice\.mode: not supported/,
    ],
    [
      'calls one at a time, in words',
      { tool_choice: { type: 'auto', disable_parallel_tool_use: 'yes' } },
      /^tool_choice\.disable_parallel_tool_use: expected true or false/,
    ],
    [
      'a forced call of another shape',
      { tools: [weather], tool_choice: { type: 'any' }, structured_outputs: { choice: ['a'] } },
      /^tool_choice: expected 'auto' or 'none' beside structured_outputs/,
    ],
    ['no tool to choose', { tool_choice: { type: 'any' } }, /^tools: expected at least one/],
    [
      'a tool that is not there',
      { tools: [weather], tool_choice: { type: 'tool', name: 'x' } },
      /^tool_choice\.name: expected the name of one of tools/,
    ],
    ['a way to think', { thinking: { type: 'between_tools' } }, /^thinking\.type: expected/],
    [
      'a budget',
      { thinking: { type: 'enabled', budget_tokens: 'all' } },
      /^thinking\.budget_tokens: /,
    ],
    [
      'a budget of no thoughts',
      { thinking: { type: 'disabled', budget_tokens: 'all' } },
      /^thinking\.budget_tokens: /,
    ],
    [
      'a way to show thoughts',
      { thinking: { type: 'adaptive', display: 'full' } },
      /^thinking\.display: expected one of 'summarized'/,
    ],
    [
      'a field of thoughts',
      { thinking: { type: 'adaptive', effort: 'low' } },
      /^thinking\.effort: not supported/,
    ],
    [
      'a field of the output',
      { output_config: { verbosity: 'low' } },
      /^output_config\.verbosity: not supported/,
    ],
    ['a container', { container: 'c' }, /^container: not supported/],
    ['servers', { mcp_servers: [{ type: 'url' }] }, /^mcp_servers: not supported/],
    ['a number', { temperature: -1 }, /^temperature: expected/],
    ['tokens', { max_tokens: 0 }, /^max_tokens: expected/],
    ['sequences', { stop_sequences: [5] }, /^stop_sequences\[0\]: expected/],
    ['a field', { stop: 'x' }, /^stop: \/v1\/messages has no such field/],
    [
      'an edit',
      { context_management: { edits: [{ type: 'clear_tool_uses_20250919' }] } },
      /^context_management\.edits\[0\]: /,
    ],
    [
      'a field of edits',
      { context_management: { strategy: 'x' } },
      /^context_management\.strategy: not supported/,
    ],
    [
      'a field of an edit',
      { context_management: { edits: [{ type: 'clear_thinking_20251015', trigger: 5 }] } },
      /^context_management\.edits\[0\]\.trigger: not supported/,
    ],
  ])('%s', async (_, fields, message) => {
    for (const stream of [false, true]) {
      const failed = client.messages.create({ ...asked, ...fields, stream })
      const error = await failed.catch((cause: unknown) => cause)
      if (!(error instanceof Anthropic.BadRequestError)) throw error
      expect(error.type).toBe('invalid_request_error')
      expect(error.requestID).toBeTruthy()
      expect((error.error as { error: { message: string } }).error.message).toMatch(message)
    }
  })

  test('with the types that clients know', async () => {
    const stranger = new Anthropic({ baseURL: server.url, apiKey: 'wrong', maxRetries: 0 })
    const refusal = (request: Promise<unknown>) =>
      request.catch((error: unknown) => {
        if (!(error instanceof Anthropic.APIError)) throw error
        return [error.status as number, error.type as string]
      })
    expect(await refusal(stranger.messages.create(asked))).toEqual([401, 'authentication_error'])
    expect(await refusal(client.messages.create({ ...asked, model: 'x' }))).toEqual([
      ...[404, 'not_found_error'],
    ])
    expect(await refusal(client.messages.batches.list())).toEqual([404, 'not_found_error'])
    const long = [{ role: 'user' as const, content: 'x'.repeat(100_000) }]
    expect(await refusal(client.messages.create({ ...asked, messages: long }))).toEqual([
      ...[413, 'request_too_large'],
    ])
    const full = openAiError(new Error('full')).body.error
    expect([429, 500, 503].map((status) => anthropicErrorBody(status, full))).toEqual(
      ['rate_limit_error', 'api_error', 'overloaded_error'].map((type) => ({
        ...{ type: 'error', error: { type, message: 'full' } },
      })),
    )
  })
})

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
