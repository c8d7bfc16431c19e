import { describe, expect, test } from 'vitest'
import { EngineError } from '../lib/errors.js'
import { answer, type AnsweringEngine } from '../lib/openai/answer.js'
import { parseOpenAiRequest, type ChatRequest } from '../lib/openai/request.js'
import { openAiError } from '../lib/openai/errors.js'
import { parseResponsesRequest } from '../lib/openai/responses/request.js'
import { chatBody, completionBody } from '../lib/openai/response.js'
import type { RequestOutput, TokenLogprobs } from '../lib/engine/outputs.js'

const completion = (body: object) =>
  parseOpenAiRequest('/v1/completions', { prompt: 'One', ...body })
const chat = (body: object) =>
  parseOpenAiRequest('/v1/chat/completions', {
    messages: [{ role: 'user', content: 'Hi' }],
    ...body,
  })

const plain = (content: string) => ({ content, reasoning: '', toolCalls: [] })
const weather = {
  type: 'function',
  function: { name: 'weather', parameters: { type: 'object', properties: {} } },
}
const named = (name: string) => ({ type: 'function', function: { name } })

describe('reading a request body', () => {
  test('tells which tools are offered, and which call the reply must be', () => {
    const tools = [weather, { type: 'function', function: { name: 'now' } }]
    const of = (tool_choice?: unknown) => chat({ tools, tool_choice }) as ChatRequest
    expect(of()).toMatchObject({ toolUse: 'allowed', chat: { tools }, params: {} })
    expect(of('none')).toMatchObject({ toolUse: 'none', params: {} })
    expect(of('none').chat.tools).toBeUndefined()
    const schemaOf = (request: ChatRequest) => JSON.stringify(request.params.structuredOutputs)
    expect(of('required')).toMatchObject({ toolUse: 'forced', chat: { tools } })
    expect(schemaOf(of('required'))).toMatch(/"weather".*"now".*"disableAnyWhitespace":true/)
    expect(schemaOf(of(named('now')))).not.toContain('weather')
    const forced = { tools, tool_choice: 'required', response_format: { type: 'json_object' } }
    expect(schemaOf(chat(forced) as ChatRequest)).toBe(schemaOf(of('required')))
  })

  test('takes the format of the answer', () => {
    const schema = { type: 'integer' }
    const read = (response_format: object) =>
      parseOpenAiRequest('/v1/completions', { prompt: 'a', response_format }).params
    expect(read({ type: 'text' })).toEqual({})
    expect(read({ type: 'json_object' }).structuredOutputs).toEqual({ json: { type: 'object' } })
    const described = { type: 'json_schema', json_schema: { name: 'age', schema } }
    expect(read(described).structuredOutputs).toEqual({ json: schema })
    expect(() => read({ type: 'json_schema' })).toThrow(/response_format.json_schema: expected/)
  })

  test('takes structured_outputs, alone and beside the format', () => {
    const read = (body: object) =>
      parseOpenAiRequest('/v1/completions', { prompt: 'a', ...body }).params.structuredOutputs
    const compact = { disable_any_whitespace: true }
    const json = { type: 'object' }
    expect(read({ structured_outputs: { json, ...compact } })).toEqual({
      ...{ json, disableAnyWhitespace: true },
    })
    expect(read({ structured_outputs: { regex: 'a', disable_any_whitespace: null } })).toEqual({
      regex: 'a',
    })
    const response_format = { type: 'json_object' }
    expect(read({ structured_outputs: compact, response_format })).toEqual({
      ...{ json, disableAnyWhitespace: true },
    })
    expect(read({ structured_outputs: 3, response_format })).toBe(3)
    const text = { format: response_format }
    const { params } = parseResponsesRequest({ input: 'a', structured_outputs: compact, text })
    expect(params.structuredOutputs).toEqual({ json, disableAnyWhitespace: true })
  })

  test('a completion maps every field to its option', () => {
    const { params } = completion({
      max_tokens: 8,
      temperature: 0.5,
      top_p: 0.9,
      n: 2,
      best_of: 3,
      stop: ['.'],
      seed: 7,
      presence_penalty: 0.1,
      frequency_penalty: 0.2,
      logit_bias: { 5: -100 },
      logprobs: 3,
      top_k: 40,
      min_p: 0.05,
      repetition_penalty: 1.1,
      min_tokens: 1,
      ignore_eos: true,
      stop_token_ids: [2],
      skip_special_tokens: false,
      include_stop_str_in_output: true,
      bad_words: ['no'],
      allowed_token_ids: [1, 2],
      priority: 1,
    })
    expect(params).toEqual({
      maxTokens: 8,
      temperature: 0.5,
      topP: 0.9,
      n: 2,
      bestOf: 3,
      stop: ['.'],
      seed: 7,
      presencePenalty: 0.1,
      frequencyPenalty: 0.2,
      logitBias: { 5: -100 },
      logprobs: 3,
      topK: 40,
      minP: 0.05,
      repetitionPenalty: 1.1,
      minTokens: 1,
      ignoreEos: true,
      stopTokenIds: [2],
      skipSpecialTokens: false,
      includeStopStrInOutput: true,
      badWords: ['no'],
      allowedTokenIds: [1, 2],
      priority: 1,
    })
  })

  test('null counts as absent, labels change nothing, empty requests for more are harmless', () => {
    const body = { max_tokens: null, user: 'me', metadata: { a: 'b' }, echo: false, suffix: null }
    expect(completion(body).params).toEqual({})
    const more = { tools: [], response_format: { type: 'text' }, tool_choice: 'auto' }
    expect(chat(more).params).toEqual({})
  })

  test('max_completion_tokens wins over max_tokens', () => {
    expect(chat({ max_completion_tokens: 5, max_tokens: 9 }).params).toEqual({ maxTokens: 5 })
  })

  test('chat asks for log-probabilities by a flag and a count', () => {
    expect(chat({ logprobs: true }).params).toEqual({ logprobs: 0 })
    expect(chat({ logprobs: true, top_logprobs: 4 }).params).toEqual({ logprobs: 4 })
    expect(chat({ logprobs: false, top_logprobs: 0 }).params).toEqual({})
    expect(() => chat({ top_logprobs: 4 })).toThrow('top_logprobs: expected none unless logprobs')
    expect(() => chat({ logprobs: 3 })).toThrow('logprobs: expected true or false, found 3')
  })

  test.each([
    ['One', ['One']],
    [
      ['One', 'Two'],
      ['One', 'Two'],
    ],
    [[1, 2], [{ promptTokenIds: [1, 2] }]],
    [
      [[1], [2]],
      [{ promptTokenIds: [1] }, { promptTokenIds: [2] }],
    ],
  ])('prompt %j', (prompt, prompts) => {
    expect(completion({ prompt })).toMatchObject({ prompts })
  })

  test.each([
    [{ prompt: [] }, RangeError, 'prompt: expected at least one'],
    [{ prompt: 5 }, TypeError, 'prompt: expected a string, an array of strings, or token ids'],
    [{ prompt: ['a', 5] }, TypeError, 'prompt[1]: expected a string or an array of token ids'],
    [{ stream: 1 }, TypeError, 'stream: expected true or false, found 1'],
    [{ model: 5 }, TypeError, 'model: expected a string, found 5'],
    [{ temprature: 1 }, TypeError, 'temprature: /v1/completions has no such field'],
    [{ messages: [] }, TypeError, 'messages: /v1/completions has no such field'],
    [{ suffix: 'x' }, EngineError, 'suffix: not supported by this version'],
    [{ tools: [{}] }, TypeError, 'tools: /v1/completions has no such field'],
    [{ response_format: { type: 'xml' } }, RangeError, 'response_format.type: expected'],
  ])('refuses %j', (body, type, message) => {
    expect(() => completion(body)).toThrow(type)
    expect(() => completion(body)).toThrow(message)
  })

  test.each([
    [{ tools: [{}] }, TypeError, 'tools[0].type: expected "function"'],
    [
      { tools: [{ type: 'function', function: {} }] },
      TypeError,
      'tools[0].function.name: expected',
    ],
    [
      { tools: [{ type: 'function', function: { name: 'a', parameters: 'b' } }] },
      TypeError,
      'tools[0].function.parameters: expected an object, found "b"',
    ],
    [{ tools: [weather], tool_choice: 'any' }, RangeError, "tool_choice: expected 'auto', 'none'"],
    [{ tools: [weather], tool_choice: { type: 'function' } }, RangeError, 'tool_choice: expected'],
    [
      { tools: [weather], tool_choice: named('rain') },
      RangeError,
      'tool_choice.function.name: expected the name of one of tools, found "rain"',
    ],
    [{ tool_choice: 'required' }, RangeError, 'tools: expected at least one that can be called'],
    [
      { tools: [weather], tool_choice: 'required', structured_outputs: { choice: ['a'] } },
      RangeError,
      "tool_choice: expected 'auto' or 'none' beside structured_outputs, found \"required\"",
    ],
  ])('refuses of a chat %j', (body, type, message) => {
    expect(() => chat(body)).toThrow(type)
    expect(() => chat(body)).toThrow(message)
  })

  test('refuses a body or messages of the wrong type', () => {
    expect(() => parseOpenAiRequest('/v1/completions', null)).toThrow('body: expected an object')
    expect(() => chat({ messages: 'Hi' })).toThrow('messages: expected an array, found "Hi"')
    expect(() => chat({ chat_template_kwargs: 1 })).toThrow('chat_template_kwargs: expected an')
  })
})

const position = (...entries: [number, string, number, number][]): TokenLogprobs =>
  new Map(entries.map(([id, decodedToken, logprob, rank]) => [id, { logprob, rank, decodedToken }]))

const output = (logprobs?: TokenLogprobs[]): RequestOutput => ({
  requestId: 'request-0',
  prompt: 'One',
  promptTokenIds: [1, 2, 3],
  outputs: [
    {
      index: 0,
      text: 'ab',
      tokenIds: [10, 11],
      cumulativeLogprob: -3,
      finishReason: 'length',
      stopReason: null,
      ...(logprobs && { logprobs }),
    },
  ],
  finished: true,
  metrics: {
    arrivalTime: 0,
    firstScheduledTime: 0,
    firstTokenTime: 0,
    finishedTime: 0,
    cachedTokens: 2,
    preemptions: 0,
  },
})
const head = { id: 'x-1', model: 'demo', created: 5 }
const plainly = { returnTokenIds: false }

describe('writing a response body', () => {
  test('choices of several prompts are numbered on, tokens are counted', () => {
    const body = completionBody(head, plainly, [output(), output()])
    expect(body).toMatchObject({ object: 'text_completion', model: 'demo', created: 5, id: 'x-1' })
    expect(body.choices.map(({ index, text }) => [index, text])).toEqual([
      [0, 'ab'],
      [1, 'ab'],
    ])
    expect(body.usage).toEqual({
      prompt_tokens: 6,
      completion_tokens: 4,
      total_tokens: 10,
      prompt_tokens_details: { cached_tokens: 4 },
    })
  })

  test('log-probabilities take the form of each endpoint', () => {
    const logprobs = [
      position([10, 'a', -2, 3], [20, 'x', -0.5, 1], [21, 'y', -1, 2]),
      position([11, 'b', -1, 1], [22, 'z', -2, 2]),
    ]
    expect(completionBody(head, plainly, [output(logprobs)]).choices[0]?.logprobs).toEqual({
      tokens: ['a', 'b'],
      token_logprobs: [-2, -1],
      top_logprobs: [
        { x: -0.5, y: -1, a: -2 },
        { b: -1, z: -2 },
      ],
      text_offset: [0, 1],
    })
    const { content } = chatBody(
      head,
      { ...plainly, params: { logprobs: 3 } },
      output(logprobs),
      plain,
    ).choices[0]!.logprobs!
    expect(content[0]).toMatchObject({ token: 'a', logprob: -2, bytes: [97] })
    expect(content.map(({ top_logprobs: top }) => top.map(({ token }) => token))).toEqual([
      ['x', 'y', 'a'],
      ['b', 'z'],
    ])
  })

  test('the chosen token is not among the most likely unless it is one of them', () => {
    const few = [position([10, 'a', -9, 2], [20, 'x', -0.5, 1]), position([11, 'b', -1, 1])]
    const { content } = chatBody(head, { ...plainly, params: { logprobs: 1 } }, output(few), plain)
      .choices[0]!.logprobs!
    expect(content[0]?.top_logprobs.map(({ token }) => token)).toEqual(['x'])
  })

  test('an error names the field of the request, not the option of the engine', () => {
    expect(openAiError(new RangeError('topP: expected a number, found 7'))).toEqual({
      status: 400,
      body: {
        error: {
          message: 'top_p: expected a number, found 7',
          type: 'invalid_request_error',
          param: 'top_p',
          code: null,
        },
      },
    })
    const spelt = openAiError(new RangeError('structuredOutputs.disableAnyWhitespace: expected'))
    expect(spelt.body.error).toMatchObject({
      message: 'structured_outputs.disable_any_whitespace: expected',
      param: 'structured_outputs',
    })
    const refused = openAiError(new EngineError('not_supported', 'echo: not supported'))
    expect(refused).toMatchObject({ status: 400, body: { error: { code: 'not_supported' } } })
    expect(openAiError(new EngineError('out_of_memory', 'no room'))).toMatchObject({
      status: 500,
      body: { error: { type: 'server_error', message: 'no room', code: 'out_of_memory' } },
    })
  })
})

describe('answering a chat', () => {
  const template = (tools: boolean) => (tools ? '<tool_call> <arg_key>' : '<|channel|>')

  /** An engine of which any chat has this reply, and what it was asked with. */
  function engineOf(text: string) {
    const asked: unknown[] = []
    const engine = {
      chat: (_messages: unknown, params: unknown) => {
        asked.push(params)
        const { outputs, ...rest } = output()
        return Promise.resolve({ ...rest, outputs: [{ ...outputs[0]!, text }] })
      },
      text: { chatTemplateFor: ({ tools }: { tools?: unknown }) => template(tools !== undefined) },
    }
    return { engine: engine as unknown as AnsweringEngine, asked }
  }
  const answered = async (text: string, body: object) => {
    const { engine, asked } = engineOf(text)
    const { choices } = (await answer(engine, chat(body), head, {})) as ReturnType<typeof chatBody>
    return { message: choices[0]!.message, params: asked[0] }
  }

  test('with tools, its reply is read as the template of chats with tools shows', async () => {
    const properties = { code: { type: 'string' } }
    const tool = { type: 'function', function: { name: 'find', parameters: { properties } } }
    const call = '<tool_call>find\n<arg_key>code</arg_key><arg_value>12</arg_value></tool_call>'
    const { message, params } = await answered(call, { tools: [tool] })
    expect(params).toEqual({})
    expect(message).toMatchObject({
      content: null,
      tool_calls: [{ function: { name: 'find', arguments: '{"code":"12"}' } }],
    })
  })

  test('keeps the special tokens that tell thoughts from text', async () => {
    const text =
      '<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Two'
    const { message, params } = await answered(text, {})
    expect(params).toEqual({ skipSpecialTokens: false })
    expect(message).toMatchObject({ content: 'Two', reasoning_content: 'Hm.' })
  })
})
