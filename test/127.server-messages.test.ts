import type Anthropic from '@anthropic-ai/sdk'
import { describe, expect, test } from 'vitest'
import { asked, client, folder, question, server, weather } from './support/messages.js'
import { TestServer } from './support/server.js'

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
