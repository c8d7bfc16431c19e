import { generateObject } from 'ai'
/* eslint @typescript-eslint/no-deprecated: off -- generateObject is what ai 6 programs still call */
import { afterAll, describe, expect, it, test } from 'vitest'
import { z } from 'zod'
import { createOctavo } from '../lib/ai/index.js'
import { LLMEngine, type EngineOptions, type RequestOutput } from '../lib/index.js'
import { compileGrammar } from '../lib/structured/compile.js'
import { Matcher } from '../lib/structured/matcher.js'
import type { State } from '../lib/structured/recognizer.js'
import { checkStructuredOutputs } from '../lib/structured/spec.js'
import { tokenBytesOf } from '../lib/structured/token-bytes.js'
import { TokenTrie } from '../lib/structured/token-trie.js'
import { replyFormatOf } from '../lib/text/reply-format.js'
import { Tokenizer } from '../lib/text/tokenizer.js'
import { readReply, only } from './helpers/read-reply.js'
import { TestServer } from './support/server.js'
import { thinkingModel } from './support/thinking-model.js'

const template = '{{ content.split("</think>") }}'
const begun = '<|im_start|>assistant\n<think>\n'

function grammar(options: object, prompt: string, source = template) {
  const thoughts = replyFormatOf(source).thoughts(prompt)
  return compileGrammar({ ...checkStructuredOutputs(options)!, thoughts })
}

describe('a grammar behind thoughts', () => {
  const judge = (text: string, prompt: string, source = template) => {
    const recognizer = grammar({ regex: '[ab]+|</think>' }, prompt, source)
    let state: State | null = recognizer.start
    for (const byte of Buffer.from(text)) state = state && recognizer.step(state, byte)
    return state === null ? 'wrong' : state.mayEnd ? 'whole' : 'prefix'
  }

  test.each([
    ['Hm, <b> 日🐢\n</thin </</think>ab', 'whole'],
    ['</think>\n\nab', 'whole'],
    ['</think></think>', 'whole'],
    ['ab', 'prefix'],
    ['Hm</think>c', 'wrong'],
    ['Hm</think>\n\n\n\n\n', 'wrong'],
    ['<think></think>a<', 'wrong'],
  ])('where the prompt ended within them: %j', (text, verdict) => {
    expect(judge(text, begun)).toBe(verdict)
  })

  test.each([
    ['<think>\nHm, ab</think>\n\nab', 'whole'],
    ['ab', 'whole'],
    ['<think>ab', 'prefix'],
    ['Hm', 'wrong'],
    ['ab<', 'wrong'],
    ['ab</think>a', 'wrong'],
  ])('where the model may have some: %j', (text, verdict) => {
    expect(judge(text, '<|im_start|>assistant\n')).toBe(verdict)
  })

  test('holds at once where the prompt closed them, or the template has none', () => {
    for (const prompt of [`${begun}\n</think>\n\n`, '<|Assistant|></think>']) {
      expect(['ab', 'Hm', '<think>'].map((text) => judge(text, prompt))).toEqual([
        ...['whole', 'wrong', 'wrong'],
      ])
    }
    expect(judge('<think>', begun, '{{ messages }}')).toBe('wrong')
  })

  test('may describe thoughts itself', () => {
    const recognizer = grammar({ regex: '<think>a{1,9}</think>b' }, 'assistant\n')
    const judged = (text: string) => recognizer.after(text) !== null
    expect(['<think>aa</think>b', '<think>ab', 'b'].map(judged)).toEqual([true, false, false])
  })

  test('takes any of several marks', () => {
    const source = "Here is my thought process: Here's my response: Here is my response:"
    const prompt = 'Here is my thought process:'
    expect(judge("2 is Here's Here's my response: a", prompt, source)).toBe('whole')
    expect(judge("Here is Here's my respons Here is my response:a", prompt, source)).toBe('whole')
    expect(judge('Here is my response: c', prompt, source)).toBe('wrong')
  })
})

describe('tokens', () => {
  const end = 2
  /** What follows thoughts and their end in one vocabulary. */
  async function follow(model: string, prompt: string, source: string, close: readonly number[]) {
    const tokenizer = await Tokenizer.load(model)
    const trie = new TokenTrie(tokenBytesOf(tokenizer, tokenizer.vocabSize, [end]))
    const matcher = new Matcher(grammar({ choice: ['{}'] }, prompt, source), trie)
    const allowed = () => {
      const mask = matcher.mask()!
      const all = Array.from({ length: tokenizer.vocabSize }, (_, id) => id)
      return all.filter((id) => ((mask[id >> 5]! >>> (id & 31)) & 1) === 1)
    }
    const within = allowed()
    for (const id of tokenizer.encode('Once upon', { addSpecialTokens: false })) matcher.accept(id)
    expect(allowed()).toEqual(within)
    for (const id of close) expect(matcher.accept(id)).toBe(true)
    const behind = allowed().map((id) => tokenizer.tokenText(id))
    matcher.rollback(close.length)
    expect(allowed()).toEqual(within)
    const texts = Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.tokenText(id))
    const whole = [...texts.keys()].filter((id) => !texts[id]!.includes('\ufffd'))
    const special = [...tokenizer.specialTokenIds].filter((id) => !close.includes(id))
    expect(within.filter((id) => whole.includes(id))).toEqual(
      whole.filter((id) => !special.includes(id)),
    )
    await tokenizer.close()
    return behind
  }

  const space = expect.stringMatching(/^(\{\}?|\s{1,4}\{?)$/) as string

  it.each([false, true])('one token closes them, special: %s', async (special) => {
    const marks = special ? ['[THINK]', '[/THINK]'] : ['<think>', '</think>']
    const model = thinkingModel(marks, special)
    const prompt = `assistant\n${marks[0]!}\n`
    const behind = await follow(model.folder, prompt, marks.join(), [model.close])
    model.remove()
    expect(behind).toContain('{')
    expect(behind).toEqual(behind.map(() => space))
  })

  it('several tokens close them', async () => {
    const tokenizer = await Tokenizer.load('models/demo')
    const close = [...tokenizer.encode('</think>', { addSpecialTokens: false })]
    await tokenizer.close()
    expect(close.length).toBeGreaterThan(2)
    const behind = await follow('models/demo', begun, template, close)
    expect(behind).toContain('{')
    expect(behind).toEqual(behind.map(() => space))
  })
})

describe('a reply', () => {
  const context = { template, toolUse: 'none', structured: { json: true } } as const

  it('is thoughts, and a text in which no mark is one', () => {
    const text = '{"a": "<think> and </think>"}'
    expect(readReply(`Hm.</think>\n\n${text}`, { ...context, prompt: begun })).toEqual(
      only({ reasoning: 'Hm.', content: text }),
    )
    expect(readReply(`<think>Hm.</think>\n\n${text}`, context)).toEqual(
      only({ reasoning: 'Hm.', content: text }),
    )
    expect(readReply(text, context)).toEqual(only({ content: text }))
    expect(readReply('<thi', context)).toEqual(only({ content: '<thi' }))
  })

  it('that is a forced call comes behind thoughts too', () => {
    const forced = { template, toolUse: 'forced' } as const
    const call = { name: 'f', arguments: '{"a":"<think>"}' }
    const text = `{"name": "f", "arguments": ${call.arguments}}`
    const behind = readReply(`Hm.</think>\n${text}`, { ...forced, prompt: begun })
    expect(behind).toEqual(only({ reasoning: 'Hm.', toolCalls: [call] }))
    expect(readReply(text, forced)).toEqual(only({ toolCalls: [call] }))
    expect(readReply('Hm.</think>{"na', { ...forced, prompt: begun })).toEqual(
      only({ reasoning: 'Hm.', content: '{"na' }),
    )
  })
})

const model = thinkingModel()
const special = [thinkingModel(undefined, true), thinkingModel(['[THINK]', '[/THINK]'], true)]
afterAll(() => {
  for (const each of [model, ...special]) each.remove()
})
const server = await TestServer.start({}, { model: model.folder, maxModelLen: 1024 })
const { client, engine } = server

const schema = z.object({ name: z.enum(['Ada', 'Bo']), age: z.number().int().min(0).max(99) })
const json = z.toJSONSchema(schema)
const turns = [{ role: 'user', content: 'Who is it?' }]
const drawn = { structuredOutputs: { json }, n: 3, seed: 3, maxTokens: 500 }

const textsOf = ({ outputs }: RequestOutput) => outputs.map(({ text }) => text)

describe('a chat', () => {
  it('thinks as it likes, and then follows the grammar', async () => {
    const { outputs } = await engine.chat(turns, drawn)
    expect(outputs.map(({ finishReason }) => finishReason)).toEqual(['stop', 'stop', 'stop'])
    expect(outputs.some(({ reasoning }) => reasoning!.length > 10)).toBe(true)
    for (const { text } of outputs) schema.parse(JSON.parse(text))
  })

  it('may open thoughts by itself, or leave them out', async () => {
    const variables = { may_think: true }
    const { outputs } = await engine.chat(turns, drawn, { variables })
    expect(outputs.some(({ reasoning }) => reasoning!.length > 10)).toBe(true)
    for (const { text } of outputs) schema.parse(JSON.parse(text))
    const logitBias = { [model.open]: -100 }
    const plain = await engine.chat(turns, { ...drawn, logitBias }, { variables, readReply: false })
    for (const text of textsOf(plain)) schema.parse(JSON.parse(text))
  })

  it('that shall not think follows the grammar at once, as completions do', async () => {
    const variables = { enable_thinking: false }
    const reply = await engine.chat(turns, drawn, { variables, readReply: false })
    for (const text of textsOf(reply)) schema.parse(JSON.parse(text))
    const [output] = await engine.generate(begun, drawn)
    for (const text of textsOf(output!)) schema.parse(JSON.parse(text))
  })

  it('ends at a stop string, and at maxTokens, within its thoughts', async () => {
    const { outputs } = await engine.chat(turns, { ...drawn, n: 1, maxTokens: 4 })
    expect(outputs[0]).toMatchObject({ finishReason: 'length' })
    const stopped = await engine.chat(turns, { ...drawn, n: 1, stop: ' ' })
    expect(stopped.outputs[0]).toMatchObject({ finishReason: 'stop', stopReason: ' ' })
  })

  it.each<[string, EngineOptions]>([
    ['preempted by recomputing', { preemptionMode: 'recompute', enablePrefixCaching: false }],
    ['preempted by swapping', { preemptionMode: 'swap', swapSpace: 0.01 }],
    ['with steps ahead and no prefix cache', { asyncScheduling: true, enablePrefixCaching: false }],
  ])('has the same tokens %s', async (_, options) => {
    const chats = Array.from({ length: 6 }, (_, i) => [{ role: 'user', content: `Who is ${i}?` }])
    const params = { ...drawn, maxTokens: 200 }
    const all = (of: LLMEngine) =>
      Promise.all(chats.map((chat) => of.chat(chat, params, { readReply: false })))
    const tight = 'preemptionMode' in options
    const other = await LLMEngine.load(model.folder, {
      ...{ log: false, maxModelLen: 400, ...options },
      ...(tight && { numGpuBlocksOverride: 26 }),
    })
    const found = await all(other)
    if (tight) expect(other.stats().preemptions).toBeGreaterThan(0)
    other.checkIntegrity()
    await other.close()
    expect(found.map(textsOf)).toEqual((await all(engine)).map(textsOf))
  })
})

describe('every door', () => {
  const asked = { model: engine.model, seed: 5 }
  const parameters = z.toJSONSchema(z.object({ city: z.enum(['Paris', 'Rome']) }))
  const messages = [{ role: 'user' as const, content: 'Who is it?' }]

  test('chat completions', async () => {
    const format = { type: 'json_schema' as const, json_schema: { name: 'who', schema: json } }
    const body = { ...asked, messages, response_format: format }
    const { choices } = await client.chat.completions.create(body)
    const { content, ...said } = choices[0]!.message
    schema.parse(JSON.parse(content!))
    expect(said).toMatchObject({ reasoning_content: expect.stringMatching(/\w/) as string })
    let streamed = ''
    for await (const chunk of await client.chat.completions.create({ ...body, stream: true }))
      streamed += chunk.choices[0]?.delta.content ?? ''
    expect(streamed).toBe(content)
  })

  test('a forced call', async () => {
    const tools = [{ type: 'function' as const, function: { name: 'weather', parameters } }]
    const body = { ...asked, messages, tools, tool_choice: 'required' as const }
    const { choices } = await client.chat.completions.create(body)
    expect(choices[0]!.finish_reason).toBe('tool_calls')
    const { tool_calls: calls, ...said } = choices[0]!.message
    expect(calls).toMatchObject([{ function: { name: 'weather' } }])
    expect(said).toMatchObject({
      content: null,
      reasoning_content: expect.stringMatching(/\w/) as string,
    })
  })

  test('responses', async () => {
    const { output, output_text } = await client.responses.create({
      ...{ ...asked, input: 'Who is it?' },
      text: { format: { type: 'json_schema', name: 'who', schema: json } },
    })
    expect(output.map(({ type }) => type)).toEqual(['reasoning', 'message'])
    schema.parse(JSON.parse(output_text))
  })

  test('the AI SDK, whatever tokens the marks are', async () => {
    for (const { folder } of [model, ...special]) {
      const other = await LLMEngine.load(folder, { log: false, maxModelLen: 1024 })
      const { object, reasoning } = await generateObject({
        ...{ model: createOctavo(other)(), schema, prompt: 'Who is it?', seed: 5 },
      })
      expect(schema.parse(object)).toEqual(object)
      expect(reasoning).toMatch(/\w/)
      await other.close()
    }
  })
})
