import Anthropic from '@anthropic-ai/sdk'
import { describe, expect, test } from 'vitest'
import { anthropicErrorBody } from '../lib/anthropic/errors.js'
import { openAiError } from '../lib/openai/errors.js'
import { asked, client, question, server, weather } from './support/messages.js'

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
