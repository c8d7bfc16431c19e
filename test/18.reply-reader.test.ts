import { describe, expect, test, vi } from 'vitest'
import { replyFormatOf } from '../lib/text/reply-format.js'
import type { Reply } from '../lib/text/reply-parser.js'
import { readsSpecialTokens, type ReplyContext } from '../lib/text/reply-reader.js'
import { call, only, readPieces, readReply } from './helpers/read-reply.js'

const templates = {
  plain: '{{ messages }}',
  thinking: '{{ content.split("</think>") }}',
  hermes: '{{ tools }} <tool_call> {{ content.split("</think>") }}',
  mistral: '{{ tools }} [TOOL_CALLS]',
  llama3: '{{ tools }} <|python_tag|>',
  llama3Thinking: '{{ tools }} <|python_tag|> {{ content.split("</think>") }}',
  pythonThinking: '[func_name1(params)] {{ content.split("</think>") }}',
}
type Model = keyof typeof templates
type Rest = Partial<Pick<ReplyContext, 'prompt' | 'toolUse' | 'structured'>>

const tools = ['weather', 'now', 'say'].map((name) => ({ type: 'function', function: { name } }))
const read = (text: string, model: Model, rest: Rest = {}) =>
  readReply(text, { template: templates[model], tools, ...rest })

const paris = '{"name": "weather", "arguments": {"city": "Paris"}}'
const weather = call('weather', { city: 'Paris' })

describe('thoughts', () => {
  test.each([
    ['<think>\nHm, 2.\n</think>\n\nTwo', only({ reasoning: 'Hm, 2.', content: 'Two' })],
    ['<think>Hm', only({ reasoning: 'Hm' })],
    ['<think></think>Two', only({ content: 'Two' })],
    ['1 < 2 <thin> air <thi', only({ content: '1 < 2 <thin> air <thi' })],
    ['So <think>hm</think> on', only({ reasoning: 'hm', content: 'So  on' })],
  ])('of %j', (text, expected) => {
    expect(read(text, 'thinking')).toEqual(expected)
  })

  test('a prompt may end within them', () => {
    const prompt = '<|im_start|>assistant\n<think>\n'
    expect(read('{"a"} Hm</think>Yes', 'thinking', { prompt })).toEqual(
      only({ reasoning: '{"a"} Hm', content: 'Yes' }),
    )
    expect(read('No', 'plain', { prompt })).toEqual(only({ content: 'No' }))
  })

  test('a model that has none keeps its text as it is', () => {
    expect(read(' a <think> \n', 'plain')).toEqual(only({ content: ' a <think> \n' }))
  })
})

describe('calls of tools', () => {
  test.each<[Model, string, Reply]>([
    ['hermes', `<tool_call>\n${paris}\n</tool_call>`, only({ toolCalls: [weather] })],
    [
      'hermes',
      `<think>Ask.</think>I look.\n<tool_call>${paris}</tool_call>\n<tool_call>{"name":"now"}</tool_call>`,
      { reasoning: 'Ask.', content: 'I look.', toolCalls: [weather, call('now', {})] },
    ],
    ['hermes', `<tool_call>${paris}`, only({ toolCalls: [weather] })],
    ['mistral', `[TOOL_CALLS] [${paris}, ${paris}]`, only({ toolCalls: [weather, weather] })],
    ['mistral', '[TOOL_CALLS]weather{"city":"Paris"}', only({ toolCalls: [weather] })],
    [
      'mistral',
      'Look: [TOOL_CALLS]weather[ARGS]{"city":"Paris"}[TOOL_CALLS]now[ARGS]{}',
      only({ content: 'Look:', toolCalls: [weather, call('now', {})] }),
    ],
    [
      'llama3',
      ` {"name": "weather", "parameters": {"city": "Paris"}}`,
      only({ toolCalls: [weather] }),
    ],
    [
      'llama3',
      '<|python_tag|>{"name": "say", "parameters": {"text": "a;b\\n\\"c"}}; {"name": "now", "parameters": {}}',
      only({ toolCalls: [call('say', { text: 'a;b\n"c' }), call('now', {})] }),
    ],
  ])('of %s: %j', (model, text, expected) => {
    expect(read(text, model)).toEqual(expected)
  })

  test.each<[Model, string]>([
    ['hermes', 'So <tool_call>{"name": 1}</tool_call> it is'],
    ['hermes', '<tool_call>{"name": "weather", "arguments": "Rome"}</tool_call>'],
    ['hermes', '<tool_call>{"name": "weather", "arguments": [1]}</tool_call>'],
    ['hermes', '<tool_call>{"name": "weather", "arguments": "[1]"}</tool_call>'],
    ['hermes', '<tool_call>weather'],
    ['hermes', 'a <tool'],
    ['mistral', '[TOOL_CALLS]weather{"city":'],
    ['llama3', '{"name": "weather", "param'],
    ['llama3', '{a set}'],
    ['llama3', 'So <|python_tag|>print("a'],
  ])('what is none is text after all, for %s: %j', (model, text) => {
    expect(read(text, model)).toEqual(only({ content: text }))
  })

  test.each<[Model, string]>([
    ['llama3', '{"name": "Ann", "age": 3}'],
    ['llama3', '{"name": "now"}; {"name": "Ann"}'],
    ['pythonThinking', '[now(), f(a=1)]'],
  ])('without a mark only of what is offered, for %s: %j', (model, text) => {
    expect(read(text, model)).toEqual(only({ content: text }))
  })

  test.each<[Model, string, string]>([
    ['llama3Thinking', paris, '{"a": 1}'],
    ['llama3Thinking', paris, '{"a":'],
    ['pythonThinking', "[weather(city='Paris')]", '[f(a=1'],
  ])('without a mark, behind thoughts, for %s: %j, and not %j', (model, called, text) => {
    const behind = (reply: string) => read(`<think>Hm.</think>${reply}`, model)
    expect(behind(called)).toEqual(only({ reasoning: 'Hm.', toolCalls: [weather] }))
    expect(behind(text)).toEqual(only({ reasoning: 'Hm.', content: text }))
  })

  test('are none in JSON that follows a schema, but may follow another grammar', () => {
    const structured = { json: true }
    const text = '{"name": "now", "doc": "<think>a</think> <tool_call>[]</tool_call>"}'
    expect(read(text, 'llama3', { structured })).toEqual(only({ content: text }))
    expect(read(`<think>Hm.</think>${text}`, 'hermes', { structured })).toEqual(
      only({ reasoning: 'Hm.', content: text }),
    )
    const own = `<tool_call>${paris}</tool_call>`
    expect(read(own, 'hermes', { structured: { choice: [own] } })).toEqual(
      only({ toolCalls: [weather] }),
    )
  })

  test('are searched for their end once, however long they are', () => {
    const args = JSON.stringify({ text: 'a long text. '.repeat(1000) })
    const pieces = `<tool_call>{"name": "say", "arguments": ${args}}</tool_call>`.match(/.{1,4}/gs)!
    const search = vi.spyOn(String.prototype, 'indexOf')
    const { toolCalls } = readPieces(pieces, { template: templates.hermes, tools })
    const searched = search.mock.contexts.map(String).join('').length
    search.mockRestore()
    expect(toolCalls).toEqual([{ name: 'say', arguments: args }])
    expect(searched).toBeLessThan(10 * args.length)
  })

  test('are text where no tools are offered', () => {
    const text = `<tool_call>${paris}</tool_call>`
    expect(read(text, 'hermes', { toolUse: 'none' })).toEqual(only({ content: text }))
    expect(read(paris, 'plain')).toEqual(only({ content: paris }))
  })

  test('a call that is forced is the whole reply, or was cut short', () => {
    for (const model of ['plain', 'hermes', 'llama3'] as const) {
      expect(read(paris, model, { toolUse: 'forced' })).toEqual(only({ toolCalls: [weather] }))
      const cut = paris.slice(0, 19)
      expect(read(cut, model, { toolUse: 'forced' })).toEqual(only({ content: cut }))
      const other = '{"name": "weather", "arguments": "a"}'
      expect(read(other, model, { toolUse: 'forced' })).toEqual(only({ content: other }))
    }
  })
})

test('calls of Llama 3 are known by their example in the template too', () => {
  const template = '{%- if tools %}{"name": …, "parameters":'
  expect(readReply('{"name": "now", "parameters": {}}', { template, tools })).toEqual(
    only({ toolCalls: [call('now', {})] }),
  )
})

test('the source of a template is looked through once', () => {
  expect(replyFormatOf(templates.llama3)).toBe(replyFormatOf(templates.llama3))
})

test('the template tells whether marks of calls are special tokens', () => {
  const special = (model: Model) => readsSpecialTokens(templates[model], 'allowed')
  expect([special('hermes'), special('mistral'), special('llama3')]).toEqual([false, true, true])
  expect(readsSpecialTokens(templates.mistral, 'none')).toBe(false)
  expect(readsSpecialTokens(templates.mistral, 'forced')).toBe(false)
})
