import { afterEach, describe, expect, test } from 'vitest'
import OpenAI from 'openai'
import { TestServer } from './support/server.js'

const server = await TestServer.start({ servedModelNames: ['demo', 'other', 'of/some/other'] })
const { client, engine } = server
const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]
const greedy = { model: 'demo', temperature: 0 }

afterEach(() => server.settled())

describe('/v1/chat/completions', () => {
  test('answers as the engine does', async () => {
    const expected = await engine.chat(messages, { temperature: 0 })
    const completion = await client.chat.completions.create({ ...greedy, messages })
    const [choice] = completion.choices
    expect(choice?.message).toEqual({
      role: 'assistant',
      content: expected.outputs[0]?.text,
      refusal: null,
    })
    expect(choice?.finish_reason).toBe('stop')
    expect(completion.usage).toMatchObject({
      prompt_tokens: expected.promptTokenIds.length,
      completion_tokens: expected.outputs[0]?.tokenIds.length,
    })
  })

  test('a stream adds up to the same text, and counts its tokens', async () => {
    const whole = await client.chat.completions.create({ ...greedy, messages })
    const stream = await client.chat.completions.create({
      ...greedy,
      messages,
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks = []
    for await (const chunk of stream) chunks.push(chunk)
    expect(chunks[0]?.choices[0]?.delta).toEqual({ role: 'assistant', content: '' })
    const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')
    expect(text).toBe(whole.choices[0]?.message.content)
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('stop')
    expect(chunks.at(-1)?.choices).toEqual([])
    expect(chunks.at(-1)?.usage?.completion_tokens).toBe(whole.usage?.completion_tokens)
    expect(chunks[0]?.usage).toBeNull()
  })

  test('n choices with log-probabilities, streamed and whole, by one seed', async () => {
    const body = { model: 'demo', messages, n: 2, seed: 7, logprobs: true, top_logprobs: 2 }
    const whole = await client.chat.completions.create({ ...body, max_completion_tokens: 6 })
    const stream = await client.chat.completions.create({
      ...body,
      max_completion_tokens: 6,
      stream: true,
    })
    const texts = ['', '']
    const tokens: string[][] = [[], []]
    const most: number[] = []
    for await (const { choices } of stream) {
      for (const { index, delta, logprobs } of choices) {
        texts[index] = texts[index]! + (delta.content ?? '')
        tokens[index]!.push(...(logprobs?.content ?? []).map(({ token }) => token))
        most.push(...(logprobs?.content ?? []).map(({ top_logprobs: top }) => top.length))
      }
    }
    expect(texts).toEqual(whole.choices.map(({ message }) => message.content))
    expect(tokens).toEqual(
      whole.choices.map(({ logprobs }) => logprobs?.content?.map(({ token }) => token)),
    )
    for (const { logprobs } of whole.choices)
      most.push(...logprobs!.content!.map(({ top_logprobs: top }) => top.length))
    expect(new Set(most)).toEqual(new Set([2]))
  })

  test('the chosen token is no further one beside top_logprobs 0, likely as it is', async () => {
    const body = { ...greedy, messages, logprobs: true, top_logprobs: 0 }
    const whole = await client.chat.completions.create(body)
    for await (const { choices } of await client.chat.completions.create({ ...body, stream: true }))
      for (const { logprobs } of [...choices, ...whole.choices])
        for (const { top_logprobs: top } of logprobs?.content ?? []) expect(top).toEqual([])
  })

  test('goes on with a turn of calls, as it was answered', async () => {
    const called = { name: 'clock', arguments: '{}' }
    const { choices } = await client.chat.completions.create({
      ...{ ...greedy, tools: [{ type: 'function', function: { name: 'clock' } }] },
      messages: [
        ...messages,
        {
          ...{ role: 'assistant', content: null },
          tool_calls: [{ id: 'a', type: 'function', function: called }],
        },
        { role: 'tool', tool_call_id: 'a', content: 'noon' },
      ],
    })
    expect(choices[0]?.message.role).toBe('assistant')
  })

  test('stop strings and log-probability biases', async () => {
    const plain = await client.chat.completions.create({ ...greedy, messages })
    const [word] = plain.choices[0]!.message.content!.trim().split(' ')
    const stopped = await client.chat.completions.create({ ...greedy, messages, stop: ` ${word}` })
    expect(stopped.choices[0]?.finish_reason).toBe('stop')
    const banned = (await engine.text.tokenize(word!))[0]!
    const biased = await client.chat.completions.create({
      ...greedy,
      messages,
      logit_bias: { [banned]: -100 },
    })
    expect(biased.choices[0]?.message.content).not.toBe(plain.choices[0]?.message.content)
  })

  test('goes on with the last message', async () => {
    const begun = [...messages, { role: 'assistant', content: 'The capital of' }]
    const response = await server.post('/v1/chat/completions', {
      ...greedy,
      messages: begun,
      continue_final_message: true,
    })
    const { choices } = (await response.json()) as OpenAI.ChatCompletion
    expect(choices[0]?.message.content).toBe(' France is Paris.')
  })
})

describe('tools that must be called', () => {
  const parameters = {
    type: 'object',
    properties: {
      city: { enum: ['Paris', 'Rome'] },
      days: { type: 'integer', minimum: 1, maximum: 5 },
    },
    required: ['city', 'days'],
    additionalProperties: false,
  }
  const now = { type: 'function' as const, function: { name: 'now' } }
  const tools = [{ type: 'function' as const, function: { name: 'weather', parameters } }, now]
  const weather = { type: 'function' as const, function: { name: 'weather' } }
  const ask = { ...greedy, messages, tools, seed: 1, temperature: 1 }

  test('one of them, or the one that is named, is called by its schema', async () => {
    const required = await client.chat.completions.create({ ...ask, tool_choice: 'required' })
    const [any] = required.choices[0]!.message.tool_calls!
    expect(['weather', 'now']).toContain(any?.type === 'function' && any.function.name)
    const { choices } = await client.chat.completions.create({ ...ask, tool_choice: weather, n: 2 })
    for (const { message, finish_reason } of choices) {
      expect(finish_reason).toBe('tool_calls')
      expect(message).toMatchObject({ content: null, tool_calls: [weather] })
      const [call] = message.tool_calls!
      const { city, days } = JSON.parse(
        call?.type === 'function' ? call.function.arguments : '',
      ) as {
        city: string
        days: number
      }
      expect(['Paris', 'Rome']).toContain(city)
      expect([1, 2, 3, 4, 5]).toContain(days)
    }
  })

  test('a stream gives the same call', async () => {
    const whole = await client.chat.completions.create({ ...ask, tool_choice: weather })
    const stream = client.chat.completions.stream({ ...ask, tool_choice: weather })
    const { choices } = await stream.finalChatCompletion()
    const said = (choice?: OpenAI.ChatCompletion.Choice) =>
      choice?.message.tool_calls?.map((call) => call.type === 'function' && call.function)
    expect(said(choices[0])).toMatchObject([{ name: 'weather' }])
    expect(said(choices[0])).toMatchObject(said(whole.choices[0])!)
    expect(choices[0]?.finish_reason).toBe('tool_calls')
  })

  test('a loop of calls and results goes on behind a turn without content', async () => {
    const results: string[] = []
    const runner = client.chat.completions.runTools(
      {
        ...ask,
        tool_choice: 'required',
        tools: [
          {
            type: 'function',
            function: {
              ...{ name: 'weather', description: 'The weather', parameters },
              ...{
                parse: JSON.parse,
                function: ({ city }: { city: string }) => `sunny in ${city}`,
              },
            },
          },
        ],
      },
      { maxChatCompletions: 2 },
    )
    runner.on('functionToolCallResult', (result) => results.push(result))
    await runner.done()
    expect(results).toEqual([
      expect.stringMatching(/^sunny in (Paris|Rome)$/),
      expect.stringMatching(/^sunny in (Paris|Rome)$/),
    ])
  })

  test('a call that is cut short is text, as nobody can call it', async () => {
    const cut = { ...ask, tool_choice: weather, max_completion_tokens: 3 }
    const { choices } = await client.chat.completions.create(cut)
    expect(choices[0]?.finish_reason).toBe('length')
    expect(choices[0]?.message.tool_calls).toBeUndefined()
    expect(choices[0]?.message.content).toMatch(/^\{/)
  })
})

describe('/v1/completions', () => {
  const prompt = 'Once upon a time'
  const body = { ...greedy, prompt, max_tokens: 8 }

  test('texts, token ids and several of them', async () => {
    const ids = [...(await engine.text.tokenize(prompt))]
    const one = await client.completions.create(body)
    const text = one.choices[0]?.text
    for (const other of [ids, [prompt], [ids, ids]]) {
      const { choices } = await client.completions.create({ ...body, prompt: other })
      expect(choices.map((choice) => choice.text)).toEqual(choices.map(() => text))
    }
    const several = await client.completions.create({
      ...body,
      prompt: [prompt, 'The'],
      n: 2,
      temperature: 1,
    })
    expect(several.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3])
  })

  test('a stream of several prompts adds up to the same texts', async () => {
    const prompts = [prompt, 'The', 'Lily was']
    const whole = await client.completions.create({ ...body, prompt: prompts })
    const stream = await client.completions.create({ ...body, prompt: prompts, stream: true })
    const texts = ['', '', '']
    for await (const { choices } of stream)
      for (const { index, text } of choices) texts[index] = texts[index]! + text
    expect(texts).toEqual(whole.choices.map(({ text }) => text))
  })

  test('echo shows the prompt, and with logprobs scores it', async () => {
    const whole = await client.completions.create({ ...body, echo: true, logprobs: 1 })
    const [choice] = whole.choices
    expect(choice?.text.startsWith(prompt)).toBe(true)
    const {
      tokens = [],
      token_logprobs: scores = [],
      text_offset: offsets = [],
    } = choice!.logprobs!
    expect(tokens.join('')).toBe(choice?.text)
    expect(scores[0]).toBeNull()
    expect(scores.slice(1).every((score) => score <= 0)).toBe(true)
    expect(offsets.map((at, i) => choice!.text.slice(at).startsWith(tokens[i]!))).not.toContain(
      false,
    )
    const stream = await client.completions.create({
      ...body,
      echo: true,
      logprobs: 1,
      stream: true,
    })
    let text = ''
    const streamed: (number | null)[] = []
    for await (const { choices } of stream) {
      text += choices[0]?.text ?? ''
      streamed.push(...(choices[0]?.logprobs?.token_logprobs ?? []))
    }
    expect(text).toBe(choice?.text)
    expect(streamed).toEqual(scores)
  })

  test('echo with max_tokens 0 shows and scores the prompt alone', async () => {
    const scored = { ...body, echo: true, logprobs: 1, max_tokens: 0, n: 2, temperature: 1 }
    const longer = await client.completions.create({ ...body, echo: true, logprobs: 1 })
    const whole = await client.completions.create(scored)
    const ids = await engine.text.tokenize(prompt)
    const { tokens, token_logprobs, text_offset } = longer.choices[0]!.logprobs!
    for (const { text, finish_reason, logprobs } of whole.choices) {
      expect([text, finish_reason]).toEqual([prompt, 'length'])
      expect(logprobs).toMatchObject({
        tokens: tokens!.slice(0, ids.length),
        token_logprobs: token_logprobs!.slice(0, ids.length),
        text_offset: text_offset!.slice(0, ids.length),
      })
    }
    expect(whole.choices).toHaveLength(2)
    expect(whole.usage).toMatchObject({ prompt_tokens: ids.length, completion_tokens: 0 })
    const stream = await client.completions.create({ ...scored, stream: true })
    const choices: object[] = []
    for await (const chunk of stream) choices.push(...chunk.choices)
    for (const choice of choices)
      expect(whole.choices).toContainEqual(expect.objectContaining(choice))
    expect(choices).toHaveLength(2)
    const plain = await server.post('/v1/completions', { ...body, max_tokens: 0 })
    expect(await plain.text()).toContain('max_tokens: expected an integer of at least 1, found 0')
  })

  test('a beam search', async () => {
    const response = await server.post('/v1/completions', {
      ...body,
      n: 2,
      use_beam_search: true,
    })
    const { choices } = (await response.json()) as OpenAI.Completion
    expect(choices).toHaveLength(2)
  })
})

test('models are listed by their names', async () => {
  const { data } = await client.models.list()
  expect(data.map(({ id }) => id)).toEqual(['demo', 'other', 'of/some/other'])
  expect(await client.models.retrieve('other')).toMatchObject({ id: 'other', root: 'demo' })
  expect(await client.models.retrieve('of/some/other')).toMatchObject({ id: 'of/some/other' })
  const plain = await fetch(`${server.url}/v1/models/of/some/other`)
  expect(await plain.json()).toMatchObject({ id: 'of/some/other' })
  await expect(client.models.retrieve('third')).rejects.toBeInstanceOf(OpenAI.NotFoundError)
})
