import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EngineError } from '../lib/errors.js'
import { ChatTemplate } from '../lib/text/chat-template.js'
import type { ChatTurn } from '../lib/text/chat-turns.js'
import { Tokenizer } from '../lib/text/tokenizer.js'
import { smollm2 } from './helpers/tokenizers.js'

const hi = [{ role: 'user', content: 'Hi' }]

describe('rendering', () => {
  test('the demo model', async () => {
    const template = await ChatTemplate.load('models/demo')
    expect(template?.render(hi)).toBe('<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n')
    expect(template?.render(hi, { addGenerationPrompt: false })).toBe(
      '<|im_start|>user\nHi<|im_end|>\n',
    )
  })

  test('encodes to one special token where the text names one', async () => {
    const template = await ChatTemplate.load('models/demo')
    const tokenizer = await Tokenizer.load('models/demo')
    const ids = [...tokenizer.encode(template!.render(hi), { addSpecialTokens: false })]
    expect(ids.filter((id) => tokenizer.specialTokenIds.has(id))).toEqual([1, 2, 1])
  })

  test.skipIf(smollm2 === null)('SmolLM2 has a system message of its own', async () => {
    const template = await ChatTemplate.load(smollm2!)
    expect(template?.render(hi)).toBe(
      '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face' +
        '<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n',
    )
  })

  test('tools, named tokens and variables of the template', () => {
    const template = new ChatTemplate(
      "{{ bos_token }}{% if tools is not none %}{{ tools[0]['function']['name'] }}{% endif %}" +
        '{% if enable_thinking %}<think>{% endif %}{{ eos_token }}',
    )
    const tools = [{ type: 'function', function: { name: 'clock' } }]
    const options = { bosToken: '<s>', eosToken: '</s>', variables: { enable_thinking: true } }
    expect(template.render(hi, { ...options, tools })).toBe('<s>clock<think></s>')
    expect(template.render(hi)).toBe('')
  })

  test('what lies behind a failure is told too', () => {
    const read = () => {
      throw new Error('cannot read', { cause: new Error('no such file') })
    }
    expect(() => new ChatTemplate('{{ read() }}').render(hi, { variables: { read } })).toThrow(
      new TypeError('chat template: cannot read: no such file'),
    )
  })

  test('other fields of a message', () => {
    const template = new ChatTemplate('{{ messages[0].name }}')
    expect(template.render([{ role: 'tool', name: 'clock' }])).toBe('clock')
  })

  test.each([undefined, null])(
    'a message whose content is %j, by the demo model',
    async (content) => {
      const template = await ChatTemplate.load('models/demo')
      const turn = content === undefined ? {} : { content }
      expect(
        template?.render([...hi, { role: 'assistant', ...turn }], { addGenerationPrompt: false }),
      ).toBe('<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<|im_end|>\n')
    },
  )

  test.each([
    ["{% if message['content'] is none %}calls{% else %}text{% endif %}", 'calls'],
    ['{% if message.content is not none %}text{% else %}calls{% endif %}', 'calls'],
    ['{% if message.content == None %}calls{% endif %}', 'calls'],
    ['{% if message.content %}text{% else %}calls{% endif %}', 'calls'],
    ['{% if message.reasoning_content is not none %}{{ message.content + "." }}{% endif %}', '.'],
    ["{{ 'a' ~ message.content ~ (message.content | trim) }}", 'a'],
  ])('one without content, by a template that asks: %s', (source, expected) => {
    const template = new ChatTemplate(`{% set message = messages[0] %}${source}`)
    expect(template.render([{ role: 'assistant', content: null }])).toBe(expected)
  })

  test('a turn without content has an empty text to a template that adds it to one', () => {
    const template = new ChatTemplate(
      "{% for m in messages %}{{ m.role + ':' + m.content }};{% endfor %}",
    )
    const silent = [{ role: 'assistant', content: null, tool_calls: [] }]
    expect(template.render(silent)).toBe('assistant:;')
    expect(template.render([{ role: 'tool', content: null }])).toBe('tool:;')
  })

  test('the date', () => {
    const template = new ChatTemplate("{{ strftime_now('%Y') }}")
    expect(template.render(hi)).toMatch(/^20\d\d$/)
  })

  test('content in parts is joined by line ends', () => {
    const template = new ChatTemplate('{{ messages[0].content }}')
    const content = [
      { type: 'text', text: 'One' },
      { type: 'text', text: 'Two' },
    ] as const
    expect(template.render([{ role: 'user', content }])).toBe('One\nTwo')
  })
})

describe('earlier calls of tools', () => {
  const turn = (args: unknown) => ({
    role: 'assistant',
    content: null,
    tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: args } }],
  })
  const render = (source: string, args: unknown) =>
    new ChatTemplate(
      `{% for tool_call in messages[0].tool_calls %}{% set f = tool_call.function %}${source}{% endfor %}`,
    ).render([turn(args)])
  const json = '{"city":"Rome"}'
  const written = '{"city": "Rome"}'

  // As Qwen2.5, Hermes and Llama 3.1; Mistral; GLM and Qwen3-Coder; Kimi K2; as text alone.
  const OBJECTS = [
    ['{{ f.arguments | tojson }}', written],
    [`{{ '"arguments": ' + f['arguments']|tojson + '}' }}`, `"arguments": ${written}}`],
    ['{% for k, v in f.arguments.items() %}{{ k }}={{ v }}{% endfor %}', 'city=Rome'],
    ['{% for k, v in f.arguments|items %}{{ k }}={{ v }}{% endfor %}', 'city=Rome'],
    [
      '{% if f.arguments is string %}{{ f.arguments }}{% else %}{{ f.arguments | tojson }}{% endif %}',
      written,
    ],
    ['{{ f.arguments }}', written],
    ['{{ messages[0].tool_calls[0].function | tojson }}', `{"name": "f", "arguments": ${written}}`],
  ] as const
  test.each(OBJECTS)('reach %s as an object', (source, expected) => {
    expect(render(source, json)).toBe(expected)
    expect(render(source, JSON.parse(json))).toBe(expected)
  })

  // As DeepSeek V3 and R1, and Functionary.
  test.each([
    ["{{ f.name + '\\n' + tool_call['function']['arguments'] + '!' }}", `f\n${json}!`],
    ["{{ '>' + tool_call['function']['arguments'] }}", `>${json}`],
    ["{% set prompt = 'f:' + f.arguments %}{{ prompt }}", `f:${json}`],
    ["{% set arguments = f.arguments %}{{ '>' ~ arguments }}", `>${json}`],
  ])('reach %s, which joins them, as text', (source, expected) => {
    expect(render(source, json)).toBe(expected)
    expect(render(source, JSON.parse(json))).toBe(expected)
  })

  test.each([
    ['', '{}'],
    [undefined, '{}'],
    [null, '{}'],
    ['{"city": "Ro', String.raw`"{\"city\": \"Ro"`],
    ['[1]', '"[1]"'],
  ])('that are %j, no JSON object', (args, expected) => {
    expect(render('{{ f.arguments | tojson }}', args)).toBe(expected)
  })

  test.each([null, []])('that are %j are none', (calls) => {
    const template = new ChatTemplate(
      "{% if 'tool_calls' in messages[0] %}calls{% endif %}{{ messages[0].content + '.' }}",
    )
    expect(template.render([{ role: 'assistant', content: 'Hi', tool_calls: calls }])).toBe('Hi.')
  })

  test('in another form pass as they are', () => {
    const template = new ChatTemplate('{{ messages[0].tool_calls | tojson }}')
    const shown = (calls: unknown) =>
      JSON.parse(template.render([{ role: 'assistant', tool_calls: calls }])) as unknown
    for (const calls of [[{ name: 'f', arguments: json }], ['f'], { f: 1 }])
      expect(shown(calls)).toEqual(calls)
  })
})

describe('where the template is', () => {
  let folder: string
  beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'octavo-'))))
  afterAll(() => rmSync(folder, { recursive: true }))
  const write = (name: string, content: unknown) =>
    writeFileSync(
      join(folder, name),
      typeof content === 'string' ? content : JSON.stringify(content),
    )
  const render = async () => (await ChatTemplate.load(folder))?.render(hi)

  test('nowhere', async () => {
    expect(await ChatTemplate.load(folder)).toBe(null)
    write('tokenizer_config.json', { chat_template: null })
    expect(await ChatTemplate.load(folder)).toBe(null)
  })

  test('in tokenizer_config.json, alone or among several', async () => {
    write('tokenizer_config.json', { chat_template: 'one' })
    expect(await render()).toBe('one')
    const named = (name: string) => ({ name, template: `the ${name}` })
    write('tokenizer_config.json', { chat_template: [named('rag'), named('default')] })
    expect(await render()).toBe('the default')
    write('tokenizer_config.json', { chat_template: [named('rag')] })
    expect(await render()).toBe('the rag')
    write('tokenizer_config.json', { chat_template: [] })
    expect(await ChatTemplate.load(folder)).toBe(null)
  })

  test('in tokenizer_config.json, one for chats with tools', async () => {
    const named = (name: string) => ({ name, template: `the ${name}` })
    write('tokenizer_config.json', { chat_template: [named('default'), named('tool_use')] })
    const template = await ChatTemplate.load(folder)
    expect(template?.render(hi)).toBe('the default')
    expect(template?.render(hi, { tools: [{ type: 'function' }] })).toBe('the tool_use')
  })

  test('in its own file, which comes first', async () => {
    write('chat_template.jinja', 'file')
    expect(await render()).toBe('file')
  })

  test('a template that is not Jinja', async () => {
    write('chat_template.jinja', '{% for %}')
    const invalid = { name: 'EngineError', code: 'invalid_file' }
    await expect(ChatTemplate.load(folder)).rejects.toMatchObject(invalid)
    await expect(ChatTemplate.load(folder)).rejects.toThrow(/^chat template: ./)
  })
})

describe('errors', () => {
  const template = new ChatTemplate(
    "{% if messages[0].role == 'system' %}" +
      "{{ raise_exception('System role not supported') }}{% endif %}",
  )

  test('the template refuses the messages', () => {
    expect(() => template.render([{ role: 'system', content: 'Be brief.' }])).toThrow(
      new TypeError('chat template: System role not supported'),
    )
    expect(template.render(hi)).toBe('')
  })

  test.each<[unknown, string]>([
    [undefined, 'messages: expected an array of at least one message, found undefined'],
    ['Hi', 'messages: expected an array of at least one message, found "Hi"'],
    [[], 'messages: expected an array of at least one message, found an empty array'],
    [['Hi'], 'messages[0]: expected an object with role and content, found "Hi"'],
    [[...hi, { content: 'Hi' }], 'messages[1].role: expected a string, found undefined'],
    [
      [{ role: 'user', text: 'Hi' }],
      'messages[0].content: expected a string or an array of parts, found undefined',
    ],
    [
      [{ role: 'system', content: null }, ...hi],
      'messages[0].content: expected a string or an array of parts, found null',
    ],
    [
      [{ role: 'user', content: 7 }],
      'messages[0].content: expected a string or an array of parts, found 7',
    ],
    [
      [{ role: 'user', content: ['Hi'] }],
      'messages[0].content[0]: expected { type: \'text\', text }, found "Hi"',
    ],
    [
      [{ role: 'user', content: [{ type: 'text' }] }],
      'messages[0].content[0].text: expected a string, found undefined',
    ],
  ])('%j is no chat', (messages, message) => {
    expect(() => template.render(messages as ChatTurn[])).toThrow(new TypeError(message))
  })

  test('a part that is not text', () => {
    const content = [{ type: 'image_url', image_url: { url: 'data:' } }]
    const messages = [{ role: 'user', content }] as unknown as ChatTurn[]
    expect(() => template.render(messages)).toThrow(
      new EngineError(
        'not_supported',
        'messages[0].content[0]: a part of type "image_url" is not supported by this version, only \'text\'',
      ),
    )
  })
})
