import Anthropic from '@anthropic-ai/sdk'
import { appendFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach } from 'vitest'
import { root } from './commands.js'
import { TestServer } from './server.js'

/** The demo, with a template that knows of thoughts and calls. */
export const folder = mkdtempSync(join(tmpdir(), 'octavo-messages-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
cpSync(join(root, 'models/demo'), folder, { recursive: true })
appendFileSync(
  join(folder, 'chat_template.jinja'),
  '{# </think> <tool_call> #}{% if enable_thinking %}{{ thinking_budget }} {{ reasoning_effort }}{% endif %}',
)

export const server = await TestServer.start(
  { apiKeys: ['secret'], servedModelNames: ['demo'], maxBodyBytes: 100_000 },
  { model: folder, maxModelLen: 1024 },
)
export const client = new Anthropic({ baseURL: server.url, apiKey: 'secret', maxRetries: 0 })
afterEach(() => server.settled())

export const question: Anthropic.MessageParam = {
  role: 'user',
  content: 'What is the capital of France?',
}
/** The client's types name no temperature any more. */
const greedy = { temperature: 0 }
export const asked: Anthropic.MessageCreateParamsNonStreaming = {
  ...greedy,
  ...{ model: 'demo', max_tokens: 64, messages: [question] },
}
export const weather: Anthropic.Tool = {
  name: 'weather',
  description: 'The weather in a city',
  input_schema: {
    type: 'object',
    properties: { city: { enum: ['Paris', 'Rome'] } },
    required: ['city'],
    additionalProperties: false,
  },
}
