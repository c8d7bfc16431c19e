import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readJsonCalls } from '../lib/text/reply-formats/json-calls.js'
import { readPythonCalls } from '../lib/text/reply-formats/python-calls.js'
import type { Reply } from '../lib/text/reply-parser.js'
import { readsSpecialTokens, replyReader } from '../lib/text/reply-reader.js'
import { call, only, readPieces, readReply } from './helpers/read-reply.js'

/** What the templates of models have of their replies. */
const templates = {
  gptOss: '<|start|>assistant to=functions.{{ name }}<|channel|>commentary json<|message|>',
  qwenCoder: '<tool_call>\n<function=example>\n<parameter=one>\n',
  deepSeekV3: '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{{ type }}<｜tool▁sep｜>',
  deepSeekR1: "<｜tool▁calls▁begin｜> {{ content.split('</think>') }} <think>",
  llamaList: 'Respond in the format [func_name1(params_name1=params_value1), func_name2(params)]',
  olmo3: '<function_calls> {{ functions }} </think>',
  lfm2: 'List of tools: <|tool_list_start|>[{{ tools }}]<|tool_list_end|>',
  glm: "<tool_call>{name}\n<arg_key>{key}</arg_key> {{ content.split('</think>') }}",
  granite32: "<|tool_call|> 'Here is my thought process:' 'Here is my response:'",
  granite33: '<|tool_call|> <think></think> <response></response>',
  phi4Mini: '<|tool_call|>{"name": "foo", "arguments": {"a": 1}}<|/tool_call|>',
  phi4Functools: 'functools[{"name": [function name]}]',
  magistral: '[THINK]Your thoughts[/THINK] [TOOL_CALLS]',
  command: '<|START_THINKING|><|END_THINKING|> <|START_ACTION|> <|START_RESPONSE|>',
  seed: '<seed:tool_call>\n<function=example>\n<seed:think></seed:think>',
  hunyuan: '<tool_calls>[{"name": "func_name1"}]</tool_calls> </think> <answer>',
  apertus: "'<|inner_prefix|>' '<|inner_suffix|>' '<|tools_prefix|>' '<|tools_suffix|>'",
} as const
type Model = keyof typeof templates

const tools = [
  {
    type: 'function',
    function: {
      name: 'weather',
      parameters: {
        type: 'object',
        properties: { city: { type: 'string' }, days: { type: 'integer' } },
      },
    },
  },
  { type: 'function', function: { name: 'now' } },
]
const contextOf = (model: Model, prompt: string | null = null) => ({
  ...{ template: templates[model], prompt, tools },
})
const weather = call('weather', { city: 'Paris', days: 2 })
const now = call('now', {})
const json = '{"city": "Paris", "days": 2}'
const asWritten = { name: 'weather', arguments: json }
const qwenCall = `<function=weather>
<parameter=city>
Paris
</parameter>
<parameter=days>
2
</parameter>
</function>`
const glmCall = `weather
<arg_key>city</arg_key>
<arg_value>Paris</arg_value>
<arg_key>days</arg_key>
<arg_value>2</arg_value>
`

/** A call; two of them; text, thoughts and a call: what each is read as, and the call cut short. */
interface Case {
  readonly model: Model
  readonly one: string
  readonly two: string
  readonly mixed: string
  /** What is read of `mixed`; by default all three. */
  readonly parts?: Partial<Reply>
  readonly weather?: typeof weather
}

const cases: readonly Case[] = [
  {
    model: 'gptOss',
    one: `<|channel|>commentary to=functions.weather <|constrain|>json<|message|>${json}`,
    two:
      `<|channel|>commentary to=functions.weather<|constrain|>json<|message|>${json}<|call|>` +
      '<|start|>assistant to=functions.now<|channel|>commentary json<|message|>{}',
    mixed:
      '<|channel|>analysis<|message|>Ask.<|end|><|start|>assistant<|channel|>commentary<|message|>' +
      `I look.<|end|><|start|>assistant<|channel|>commentary to=functions.weather<|message|>${json}<|call|>`,
    weather: asWritten,
  },
  {
    model: 'qwenCoder',
    one: `<tool_call>\n${qwenCall}\n</tool_call>`,
    two: `<tool_call>\n${qwenCall}\n</tool_call>\n<tool_call>\n<function=now>\n</function>\n</tool_call>`,
    mixed: `I look.\n\n<tool_call>\n${qwenCall}\n</tool_call>`,
    parts: { content: 'I look.' },
  },
  {
    model: 'deepSeekV3',
    one: `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n\`\`\`json\n${json}\n\`\`\`<｜tool▁call▁end｜><｜tool▁calls▁end｜>`,
    two:
      `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n\`\`\`json\n${json}\n\`\`\`<｜tool▁call▁end｜>\n` +
      '<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    mixed: `I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n\`\`\`json\n${json}\n\`\`\`<｜tool▁call▁end｜><｜tool▁calls▁end｜>`,
    parts: { content: 'I look.' },
    weather: asWritten,
  },
  {
    model: 'deepSeekR1',
    one: `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>${json}<｜tool▁call▁end｜><｜tool▁calls▁end｜>`,
    two:
      `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>${json}<｜tool▁call▁end｜>` +
      '<｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    mixed: `<think>Ask.</think>I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>${json}<｜tool▁call▁end｜><｜tool▁calls▁end｜>`,
    weather: asWritten,
  },
  {
    model: 'llamaList',
    one: "[weather(city='Paris', days=2)]",
    two: '[weather(city="Paris", days=2), now()]',
    mixed: "\n [ weather( city = 'Paris', days = 2, ), ]",
    parts: {},
  },
  {
    model: 'olmo3',
    one: "<function_calls>\nweather(city='Paris', days=2)\n</function_calls>",
    two: "<function_calls>weather(city='Paris', days=2)\nnow()</function_calls>",
    mixed:
      "<think>Ask.</think>I look.<function_calls>weather(city='Paris', days=2)</function_calls>",
  },
  {
    model: 'lfm2',
    one: '<|tool_call_start|>[weather(city="Paris", days=2)]<|tool_call_end|>',
    two: '<|tool_call_start|>[weather(city="Paris", days=2), now()]<|tool_call_end|>',
    mixed: `I look. <|tool_call_start|>[{"name": "weather", "arguments": ${json}}]<|tool_call_end|>`,
    parts: { content: 'I look.' },
  },
  {
    model: 'glm',
    one: `<tool_call>${glmCall}</tool_call>`,
    two: `<tool_call>${glmCall}</tool_call>\n<tool_call>now\n</tool_call>`,
    mixed: `<think>Ask.</think>\nI look.\n<tool_call>${glmCall.replaceAll('\n', '')}</tool_call>`,
    parts: {
      ...{ reasoning: 'Ask.', content: 'I look.' },
    },
  },
  {
    model: 'granite32',
    one: `<|tool_call|>[{"name": "weather", "arguments": ${json}}]`,
    two: `<|tool_call|>[{"name": "weather", "arguments": ${json}}, {"name": "now", "arguments": {}}]`,
    mixed: `Here is my thought process: Ask. Here's my response: I look. <|tool_call|>[{"name": "weather", "arguments": ${json}}]`,
  },
  {
    model: 'granite33',
    one: `<|tool_call|>[{"name": "weather", "arguments": ${json}}]`,
    two: `<|tool_call|> [{"name": "weather", "arguments": ${json}}, {"name": "now", "arguments": {}}]`,
    mixed: `<think>Ask.</think><response>I look.</response><|tool_call|>[{"name": "weather", "arguments": ${json}}]`,
  },
  {
    model: 'phi4Mini',
    one: `<|tool_call|>{"name": "weather", "arguments": ${json}}<|/tool_call|>`,
    two: `<|tool_call|>[{"name": "weather", "arguments": ${json}}]<|/tool_call|><|tool_call|>{"name": "now"}<|/tool_call|>`,
    mixed: `I look.<|tool_call|>{"name": "weather", "arguments": ${json}}<|/tool_call|>`,
    parts: { content: 'I look.' },
  },
  {
    model: 'phi4Functools',
    one: `functools[{"name": "weather", "arguments": ${json}}]`,
    two: `functools[{"name": "weather", "arguments": ${json}}, {"name": "now", "arguments": {}}]`,
    mixed: `I look. functools[{"name": "weather", "arguments": ${json}}]`,
    parts: { content: 'I look.' },
  },
  {
    model: 'magistral',
    one: `[TOOL_CALLS]weather[ARGS]${json}`,
    two: `[TOOL_CALLS]weather[CALL_ID]a1b2c3d4e[ARGS]${json}[TOOL_CALLS]now[ARGS]{}`,
    mixed: `[THINK]Ask.[/THINK]I look.[TOOL_CALLS]weather[ARGS]${json}`,
    weather: asWritten,
  },
  {
    model: 'command',
    one: `<|START_ACTION|>[\n{"tool_call_id": "0", "tool_name": "weather", "parameters": ${json}}\n]<|END_ACTION|>`,
    two: `<|START_ACTION|>[{"tool_name": "weather", "parameters": ${json}}, {"tool_name": "now", "parameters": {}}]<|END_ACTION|>`,
    mixed: `<|START_THINKING|>Ask.<|END_THINKING|><|START_RESPONSE|>I look.<|END_RESPONSE|><|START_ACTION|>[{"tool_name": "weather", "parameters": ${json}}]<|END_ACTION|>`,
  },
  {
    model: 'seed',
    one: `<seed:tool_call>\n${qwenCall.replaceAll('>\nParis\n', '>Paris')}\n</seed:tool_call>`,
    two: `<seed:tool_call>${qwenCall}</seed:tool_call>\n<seed:tool_call><function=now></function></seed:tool_call>`,
    mixed: `<seed:think>Ask.</seed:think>\nI look.\n<seed:tool_call>${qwenCall}</seed:tool_call>`,
  },
  {
    model: 'hunyuan',
    one: `<tool_calls>[{"name": "weather", "arguments": ${json}}]</tool_calls>`,
    two: `<tool_calls>[{"name": "weather", "arguments": ${json}}, {"name": "now", "arguments": {}}]</tool_calls>`,
    mixed: `<think>\nAsk.\n</think>\n<answer>\nI look.\n</answer><tool_calls>[{"name": "weather", "arguments": ${json}}]</tool_calls>`,
  },
  {
    model: 'apertus',
    one: `<|tools_prefix|>[{"weather": ${json}}]<|tools_suffix|>`,
    two: `<|tools_prefix|>[{"weather": ${json}}, {"now": {}}]<|tools_suffix|>`,
    mixed: `I look.<|inner_prefix|>Ask.<|tools_prefix|>[{"weather": ${json}}]<|tools_suffix|>`,
  },
]

describe.each(cases)('$model', ({ model, one, two, mixed, parts, weather: called = weather }) => {
  const context = contextOf(model)

  test('a call, and two', () => {
    expect(readReply(one, context)).toEqual(only({ toolCalls: [called] }))
    expect(readReply(two, context)).toEqual(only({ toolCalls: [called, now] }))
  })

  test('behind thoughts and text', () => {
    const before = parts ?? { reasoning: 'Ask.', content: 'I look.' }
    expect(readReply(mixed, context)).toEqual(only({ ...before, toolCalls: [called] }))
  })

  test('a call that is cut is text after all', () => {
    const cut = one.slice(0, one.indexOf('Paris') + 3)
    expect(readReply(cut, context)).toEqual(only({ content: cut }))
  })

  test('without tools, calls are text', () => {
    const { toolCalls, content } = readReply(one, { ...context, toolUse: 'none' })
    expect(toolCalls).toEqual([])
    expect(content).toContain('Paris')
  })

  test('pieces are read as the whole', () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray([one, two, mixed, 'text ', one.slice(0, 20), mixed.slice(9)]),
        fc.array(fc.nat({ max: 12 }), { maxLength: 60 }),
        (replies, lengths) => {
          const text = replies.join('')
          const pieces = cutAt(text, lengths)
          expect(readPieces(pieces, context)).toEqual(readPieces([text], context))
        },
      ),
      { numRuns: 60 },
    )
  })
})

function cutAt(text: string, lengths: readonly number[]): readonly string[] {
  let at = 0
  const pieces = lengths.map((length) => text.slice(at, (at += length)))
  return [...pieces, text.slice(at)]
}

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)

describe('GPT-OSS', () => {
  const read = (text: string, prompt: string | null = null) =>
    readReply(text, contextOf('gptOss', prompt))

  test('thinks, and answers; what is of one kind stands on lines of its own', () => {
    const text =
      '<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>analysis<|message|>2.<|end|>' +
      '<|start|>assistant<|channel|>final<|message|>Two'
    expect(read(text)).toEqual(only({ reasoning: 'Hm.\n2.', content: 'Two' }))
    expect(read(`${text}<|return|>`)).toEqual(read(text))
  })

  test('goes on with the message that the prompt ends within', () => {
    const prompt = '<|start|>user<|message|>2?<|end|><|start|>assistant'
    expect(read('<|channel|>final<|message|>Two', prompt)).toEqual(only({ content: 'Two' }))
    const final = `${prompt}<|channel|>final<|message|>`
    expect(read('Two', `${final}One,`)).toEqual(only({ content: 'Two' }))
    expect(read('Hm', `${prompt}<|channel|>analysis<|message|>`)).toEqual(only({ reasoning: 'Hm' }))
    expect(read('<|channel|>final<|message|>a', `${final}One<|end|>`).content).toBe('a')
  })

  test('ends a message where the next begins, too', () => {
    const thought = '<|channel|>analysis<|message|>Hm<|start|>assistant'
    expect(read(`${thought}<|channel|>final<|message|>Yes`)).toEqual(
      only({ reasoning: 'Hm', content: 'Yes' }),
    )
    expect(read(`${thought} to=functions.now<|channel|>commentary<|message|>{}`)).toEqual(
      only({ reasoning: 'Hm', toolCalls: [now] }),
    )
    expect(read(thought)).toEqual(only({ reasoning: 'Hm' }))
  })

  test('a reply without headers is text', () => {
    for (const content of ['{"a": 1}', 'to be or not', 't', '<b>', 'Two']) {
      expect(read(content)).toEqual(only({ content }))
    }
    const reader = replyReader({ ...contextOf('gptOss'), toolUse: 'none' })
    expect(reader.push('{"a"').content).toBe('{"a"')
  })

  test('a header that is cut is no text', () => {
    expect(read('<|channel|>analysis<|message|>Hm<|end|><|start|>assis')).toEqual(
      only({ reasoning: 'Hm' }),
    )
  })

  test('calls only functions, by a name without their namespace if it is one of the tools', () => {
    const message = (header: string) => read(`<|channel|>${header}<|message|>{}`)
    expect(message('analysis to=functions.now code').toolCalls).toEqual([now])
    expect(message('commentary to=now').toolCalls).toEqual([now])
    expect(message('analysis to=python code')).toEqual(only({ reasoning: '{}' }))
    expect(read('<|channel|>commentary to=now<|message|>')).toEqual(only({ toolCalls: [now] }))
  })
})

describe('arguments that are bare texts', () => {
  const properties = {
    text: { type: 'string' },
    maybe: { anyOf: [{ type: 'string' }, { type: 'null' }] },
    either: { type: ['string', 'integer'] },
    count: { type: 'integer' },
    list: { type: 'array' },
  }
  const schema = { function: { name: 'f', parameters: { type: 'object', properties } } }
  const argument = (key: string, value: string) => {
    const text = `<tool_call><arg_key>${key}</arg_key><arg_value>${value}</arg_value></tool_call>`
    const { toolCalls } = readReply(text.replace('>', '>f'), {
      ...contextOf('glm'),
      tools: [schema],
    })
    return (JSON.parse(toolCalls[0]!.arguments) as Record<string, unknown>)[key]
  }

  test.each([
    ['text', '5', '5'],
    ['text', ' {"a": 1}\n', ' {"a": 1}\n'],
    ['text', 'null', 'null'],
    ['maybe', 'None', null],
    ['maybe', 'nullify', 'nullify'],
    ['either', '5', '5'],
    ['count', '5', 5],
    ['count', 'five', 'five'],
    ['list', '[1, {"a": null}]', [1, { a: null }]],
    ['list', "[True, {'a': None}]", [true, { a: null }]],
    ['list', 'constructor', 'constructor'],
    ['list', '['.repeat(5000), '['.repeat(5000)],
    ['unknown', '5', 5],
    ['unknown', 'so', 'so'],
  ])('%s: %j', (key, text, expected) => {
    expect(argument(key, text)).toEqual(expected)
  })

  test('keep the digits of their numbers', () => {
    const text =
      '<tool_call>f<arg_key>count</arg_key><arg_value>12345678901234567890</arg_value></tool_call>'
    expect(readReply(text, contextOf('glm')).toolCalls[0]!.arguments).toBe(
      '{"count":12345678901234567890}',
    )
  })
})

describe('calls in Python', () => {
  const read = (text: string) => readPythonCalls(text)?.map(({ arguments: args }) => args)

  test.each([
    [`f(a=[1, -2.5, 1e3, .5, 007, 1_000], b=())`, '{"a":[1,-2.5,1e3,0.5,7,1000],"b":[]}'],
    [`f(a={'k': True, 2: None, "c": {}})`, '{"a":{"k":true,"2":null,"c":{}}}'],
    [`f(a=true, b=null, c=False)`, '{"a":true,"b":null,"c":false}'],
    [`f(a='it\\'s', b="\\n\\x41\\u00e9\\U0001F600\\d")`, '{"a":"it\'s","b":"\\nAé😀\\\\d"}'],
    [`f(a='it's so', b='sed -n '1p' x')`, `{"a":"it's so","b":"sed -n '1p' x"}`],
    [`f(a='''x\n'y' ''', b=' \n')`, `{"a":"x\\n'y' ","b":" \\n"}`],
    ['f()', '{}'],
    ['[a.b-c(x=1,),]', '{"x":1}'],
    [`f(a=${nested(199)})`, `{"a":${nested(199)}}`],
    [
      `f(a=[${Array<string>(300).fill('[1]').join()}])`,
      `{"a":[${Array<string>(300).fill('[1]').join()}]}`,
    ],
  ])('%j', (text, expected) => {
    expect(read(text)).toEqual([expected])
  })

  test.each([
    '',
    '[]',
    'f',
    'f(',
    'f(1)',
    'f(a=b)',
    'f(a=1',
    "f(a='x",
    'f(a=1) + 1',
    '[f(a=1)',
    'f(a=g())',
    'f(a=constructor)',
    'f(a={[1]: 2})',
    'f(a={{1: 2}: 3})',
    'f(a={(1,): 2})',
    `f(a=${'['.repeat(5000)}`,
    `f(a=${nested(200)})`,
    `f(a=${'{'.repeat(100)}1: 1${'}: 1'.repeat(99)}})`,
    'f(a=1e999)',
    '[f(a=+1e999)]',
  ])('are not %j', (text) => expect(readPythonCalls(text)).toBeNull())
})

test('calls whose JSON nests deeper than it can be written are none', () => {
  const call = (depth: number) => `{"name":"f","arguments":{"a":${nested(depth)}}}`
  expect(readJsonCalls(call(100))).toEqual([{ name: 'f', arguments: `{"a":${nested(100)}}` }])
  expect(readJsonCalls(call(20_000))).toBeNull()
})

describe('text that only looks like calls', () => {
  test.each<[Model, string]>([
    ['llamaList', '[1] See [the page](https://example.com).'],
    ['llamaList', '[see the page (there)]'],
    ['granite33', 'A <response> is an element, closed by </response>.'],
    ['qwenCoder', '<tool_call>\n<function=weather>\n<parameter=city>Paris</parameter>'],
    ['qwenCoder', '<tool_call>{"name": "now"}</tool_call>'],
    ['glm', '<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>'],
    ['deepSeekV3', '<｜tool▁calls▁begin｜><｜tool▁calls▁end｜>'],
    ['apertus', '<|tools_prefix|>[{"a": {}, "b": {}}]<|tools_suffix|>'],
    ['apertus', '<|tools_prefix|>[{"a": 1}]<|tools_suffix|>'],
    ['command', '<|START_ACTION|>[]<|END_ACTION|>'],
  ])('of %s: %j', (model, content) => {
    expect(readReply(content, contextOf(model))).toEqual(only({ content }))
  })

  test('comes as soon as it is none', () => {
    const reader = replyReader({ ...contextOf('llamaList'), toolUse: 'allowed' })
    expect(reader.push('[no').content).toBe('')
    expect(reader.push('te] Well').content).toBe('[note] Well')
  })
})

test('Qwen3-Coder may leave out the outer tag, or close neither it nor a parameter', () => {
  const unclosed = qwenCall.replaceAll('\n</parameter>', '')
  for (const text of [unclosed, `<tool_call>${unclosed}`]) {
    const expected = only({ content: 'I look.', toolCalls: [weather] })
    expect(readReply(`I look.\n${text}`, contextOf('qwenCoder'))).toEqual(expected)
  }
})

test('which marks are special tokens, that the text of replies must keep', () => {
  const which = (toolUse: 'none' | 'allowed') =>
    (Object.keys(templates) as Model[]).filter((model) =>
      readsSpecialTokens(templates[model], toolUse),
    )
  const thoughts = ['gptOss', 'magistral', 'command', 'seed', 'apertus']
  expect(which('none')).toEqual(thoughts)
  const words = ['qwenCoder', 'llamaList', 'glm', 'phi4Functools', 'hunyuan']
  expect(which('allowed')).toEqual(Object.keys(templates).filter((model) => !words.includes(model)))
})
