import { appendFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  LLMEngine,
  type ChatOptions,
  type OutputDelta,
  type SamplingOptions,
} from '../lib/index.js'
import { root } from './support/commands.js'
import { EXACT } from './support/models.js'

const folders = mkdtempSync(join(tmpdir(), 'octavo-test-'))

/** The demo with a template that shows more than it had. */
function loadWith(shown: string): Promise<LLMEngine> {
  const folder = mkdtempSync(join(folders, 'model-'))
  cpSync(join(root, 'models/demo'), folder, { recursive: true })
  appendFileSync(join(folder, 'chat_template.jinja'), `{# ${shown} #}`)
  return LLMEngine.load(folder, EXACT)
}

let plain: LLMEngine
let engine: LLMEngine
beforeAll(async () => {
  plain = await LLMEngine.load('demo', EXACT)
  engine = await loadWith('</think> <tool_call>')
})
afterAll(async () => {
  await plain.close()
  await engine.close()
  rmSync(folders, { recursive: true })
})

const hi = [{ role: 'user', content: 'Hi' }]
const tools = [{ type: 'function', function: { name: 'now' } }]
const call = '<tool_call>{"name": "now", "arguments": {}}</tool_call>'
const called = { type: 'function', function: { name: 'now', arguments: '{}' } }
/** Sampling by which a model says this. */
const saying = (text: string, more: SamplingOptions = {}): SamplingOptions => ({
  ...{ temperature: 0, maxTokens: 200, structuredOutputs: { choice: [text] } },
  ...more,
})

async function streamed(on: LLMEngine, params: SamplingOptions, options: ChatOptions = {}) {
  const stream = on.chatStream(hi, params, options)
  const deltas: OutputDelta[] = []
  for await (const delta of stream) deltas.push(delta)
  return { deltas, output: stream.output()!, again: stream.output()!, id: stream.requestId() }
}

describe('a chat', () => {
  test('gives thoughts, text and calls apart', async () => {
    const params = saying(`<think>\nAsk.\n</think>\nI look.\n${call}`)
    const { outputs } = await engine.chat(hi, params, { tools })
    expect(outputs[0]).toMatchObject({
      ...{ text: 'I look.', reasoning: 'Ask.', toolCalls: [called], finishReason: 'stop' },
    })
    expect(outputs[0]!.toolCalls![0]!.id).toMatch(/^call_\w{32}$/)
  })

  test('streams them apart, to the same', async () => {
    const params = saying(`<think>Ask.</think>I look.${call}`, { n: 2, temperature: 1 })
    const { deltas, output, again, id } = await streamed(engine, params, { tools })
    expect(deltas.length).toBeGreaterThan(6)
    for (const index of [0, 1]) {
      const own = deltas.filter((delta) => delta.index === index)
      expect(own.map(({ text }) => text).join('')).toBe('I look.')
      expect(own.map(({ reasoning }) => reasoning).join('')).toBe('Ask.')
      const toolCalls = own.flatMap((delta) => delta.toolCalls!)
      expect(toolCalls).toMatchObject([called])
      const parts = { text: 'I look.', reasoning: 'Ask.', toolCalls }
      expect(output.outputs[index]).toMatchObject(parts)
      expect(again.outputs[index]).toMatchObject(parts)
    }
    expect(output.requestId).toBe(id)
  })

  test('without tools, calls are text; thoughts are apart', async () => {
    const { outputs } = await engine.chat(hi, saying(`<think>Ask.</think>${call}`))
    expect(outputs[0]).toMatchObject({ text: call, reasoning: 'Ask.', toolCalls: [] })
  })

  test('with tools that the template has no form for, text stays as it is', async () => {
    const { outputs } = await plain.chat(hi, saying(` ${call} `), { tools })
    expect(outputs[0]).toMatchObject({ text: ` ${call} `, reasoning: '', toolCalls: [] })
  })

  test('of a model that does not think, and without tools, is what the model writes', async () => {
    const params = saying('<think>Ask.</think> So ')
    const { outputs } = await plain.chat(hi, params)
    expect(outputs[0]!.text).toBe('<think>Ask.</think> So ')
    const { deltas } = await streamed(plain, params)
    for (const part of [outputs[0]!, ...deltas]) {
      expect(part).not.toHaveProperty('reasoning')
      expect(part).not.toHaveProperty('toolCalls')
    }
  })

  test('comes as it is with readReply false', async () => {
    const text = `<think>Ask.</think>${call}`
    const { outputs } = await engine.chat(hi, saying(text), { tools, readReply: false })
    expect(outputs[0]!.text).toBe(text)
    expect(outputs[0]).not.toHaveProperty('toolCalls')
    const { deltas } = await streamed(engine, saying(text), { readReply: false })
    expect(deltas.map((delta) => delta.text).join('')).toBe(text)
  })

  test('that goes on with a message keeps the space before its text', async () => {
    const messages = [...hi, { role: 'assistant', content: 'Once upon' }]
    const options = { continueFinalMessage: true }
    const { outputs } = await engine.chat(messages, saying(' a time'), options)
    expect(outputs[0]!.text).toBe(' a time')
  })

  test('shows of a stream so far what its deltas gave', async () => {
    const params = saying(`<think>Ask.</think>I look.${call}`)
    const stream = engine.chatStream(hi, params, { tools })
    expect(stream.output()).toBe(null)
    let text = ''
    for await (const delta of stream) {
      text += delta.text
      expect(stream.output()!.outputs[0]!.text).toBe(text)
    }
    expect(text).toBe('I look.')
  })

  test('whose reply is JSON by a schema calls nothing, though it may', async () => {
    const params = saying('', { structuredOutputs: { json: { const: '<think>a</think>' } } })
    const { outputs } = await engine.chat(hi, params, { tools })
    const parts = { text: '"<think>a</think>"', reasoning: '', toolCalls: [] }
    expect(outputs[0]).toMatchObject(parts)
  })

  test('leaves the loop, and ends its request', async () => {
    for await (const _ of engine.chatStream(hi, { maxTokens: 50, ignoreEos: true })) break
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0 })
  })

  test('that is left before its loop begins asks for nothing', async () => {
    const stream = engine.chatStream(hi, { maxTokens: 50, ignoreEos: true })
    await stream.return()
    expect(await stream.next()).toEqual({ done: true, value: undefined })
    expect(stream.output()).toBe(null)
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0 })
  })
})

test('special tokens that mark thoughts are kept to read them, unless asked otherwise', async () => {
  const marked = await loadWith('[/THINK]')
  try {
    const params = { temperature: 0, maxTokens: 40, ignoreEos: true }
    const textOf = async (more: SamplingOptions) =>
      (await marked.chat(hi, { ...params, ...more })).outputs[0]!.text
    expect(await textOf({})).toContain('<|im_end|>')
    expect(await textOf({ skipSpecialTokens: true })).not.toContain('<|im_end|>')
  } finally {
    await marked.close()
  }
})

test('readReply is checked', async () => {
  const options = { readReply: 'yes' as never }
  await expect(engine.chat(hi, {}, options)).rejects.toThrow('readReply: expected')
})
