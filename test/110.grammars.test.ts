import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { compileGrammar } from '../lib/structured/compile.js'
import { MAX_STATES, type Recognizer, type State } from '../lib/structured/recognizer.js'
import { checkStructuredOutputs } from '../lib/structured/spec.js'
import { TokenTrie } from '../lib/structured/token-trie.js'
import { randomNumbers } from './support/random-schema.js'

function grammar(options: object): Recognizer {
  return compileGrammar(checkStructuredOutputs(options)!)
}

/** Whether a text is complete, could go on to be, or neither. */
function judge(recognizer: Recognizer, text: string): 'whole' | 'prefix' | 'wrong' {
  let state: State | null = recognizer.start
  for (const byte of Buffer.from(text)) {
    state = recognizer.step(state, byte)
    if (state === null) return 'wrong'
  }
  return state.mayEnd ? 'whole' : 'prefix'
}

function judgeAll(options: object, texts: readonly string[]) {
  const recognizer = grammar(options)
  return texts.map((text) => judge(recognizer, text))
}

const failure = (options: object) => () => grammar(options)

describe('choices', () => {
  it('take one of the texts as a whole', () => {
    const texts = ['yes', 'yes!', 'no', 'y', 'maybe', '']
    expect(judgeAll({ choice: ['yes', 'yes!', 'no'] }, texts)).toEqual([
      ...['whole', 'whole', 'whole', 'prefix', 'wrong', 'prefix'],
    ])
  })

  it('take characters of several bytes', () => {
    expect(judgeAll({ choice: ['żółw', '日本🐢'] }, ['żółw', '日本🐢', '日本', 'z'])).toEqual([
      ...['whole', 'whole', 'prefix', 'wrong'],
    ])
  })
})

describe('regular expressions', () => {
  const cases: [pattern: string, texts: readonly string[]][] = [
    ['[a-c]{2,3}x?', ['ab', 'abcx', 'abca', 'a', 'x', '']],
    ['^(foo|ba[rz])+$', ['foo', 'bazbar', 'foob', 'fo']],
    ['[^a-z]*', ['', 'A1 ', 'ä', '日🐢', 'a']],
    ['\\d+\\.\\s\\w', ['1. a', '12.\u00a0_', '1.a', 'x']],
    ['a.c', ['abc', 'a\nc', 'a🐢c', 'ac']],
    ['[\\u{1F400}-\\u{1F43F}]', ['🐢', '🐀', '🙂', 'a']],
    ['(?:a|b)??c', ['c', 'ac', 'abc']],
  ]
  it.each(cases)('%j', (pattern, texts) => {
    const whole = new RegExp(`^(?:${pattern})$`, 'u')
    const found = judgeAll({ regex: pattern }, texts).map((verdict) => verdict === 'whole')
    expect(found).toEqual(texts.map((text) => whole.test(text)))
  })

  it.each([
    ['(a', /structuredOutputs.regex: .*Unterminated group/],
    ['(?=a)b', /"\(\?=a\)" at 0 cannot be granted/],
    ['(a)\\1', /"\\1" at 3 cannot be granted/],
    ['a\\bc', /"\\b" at 1 cannot be granted/],
    ['a^b', /"\^" at 1 cannot be granted/],
    ['\\p{L}', /cannot be granted/],
    ['[]', /matches nothing/],
    ['(a{500}){500}', /too large: more than 200000 nodes/],
    ['(){2000000000}', /too large: more than 2000000 expressions/],
    ['(((){2000}){2000}){2000}', /too large: more than 2000000 expressions/],
  ])('refuses %j', (pattern, message) => {
    expect(failure({ regex: pattern })).toThrow(message)
  })
})

/** The states that a recognizer holds. */
function reachable(recognizer: Recognizer): number {
  const found = new Set([recognizer.start])
  for (const { next } of found) for (const state of next) if (state) found.add(state)
  return found.size
}

describe('states', () => {
  it('are forgotten beyond a number, and texts are judged as before', () => {
    const pattern = '[ab]*a[ab]{15}c'
    const recognizer = grammar({ regex: pattern })
    const random = randomNumbers(1)
    for (let text = 0; text < 40; text++) {
      const letters = Array.from({ length: 2000 }, () => (random() < 0.5 ? 'a' : 'b')).join('')
      const ends = /a[ab]{15}$/.test(letters)
      expect(judge(recognizer, `${letters}c`)).toBe(ends ? 'whole' : 'wrong')
      expect(reachable(recognizer)).toBeLessThan(MAX_STATES + 10)
    }
  })
})

describe('masks', () => {
  const letters = Buffer.from('abcdefgh')
  const starts = Int32Array.from({ length: letters.length + 1 }, (_, token) => token)
  const tokens = { bytes: letters, starts, endTokenIds: [] }
  const bytes = 4 // of a mask of these tokens

  /** The states of two grammars along their texts, in turn, each with the letters that may follow. */
  const walk = () => {
    const paths = [
      { regex: 'abcdefgh', text: 'abc', follow: ['a', 'b', 'c', 'd'] },
      { regex: 'a(c|b)[d-h]e', text: 'acd', follow: ['a', 'bc', 'defgh', 'e'] },
    ].map(({ regex, text, follow }) => {
      const recognizer = grammar({ regex })
      const states = [recognizer.start]
      for (const byte of Buffer.from(text)) states.push(recognizer.step(states.at(-1)!, byte)!)
      return states.map((state, i) => ({ recognizer, state, allowed: follow[i]! }))
    })
    return paths[0]!.flatMap((step, i) => [step, paths[1]![i]!])
  }
  const lettersOf = ([mask]: Int32Array) =>
    Array.from(letters.toString())
      .filter((_, token) => ((mask! >>> token) & 1) === 1)
      .join('')

  it('are remembered up to so many bytes over all grammars, and looked up again beyond', () => {
    const trie = new TokenTrie(tokens, 3 * bytes + 1)
    const all = walk()
    const asked: State[] = []
    for (const { recognizer, state, allowed } of [...all, ...all]) {
      expect(lettersOf(trie.mask(recognizer, state))).toBe(allowed)
      asked.push(state)
      const held = all.map(({ state }) => state).filter(({ mask }) => mask !== null)
      expect(new Set(held)).toEqual(new Set(asked.slice(-3)))
    }
    expect(new Set(asked).size).toBe(8)
  })

  it('that were forgotten with their state do not widen the bound', () => {
    const trie = new TokenTrie(tokens, 3 * bytes)
    const all = walk()
    for (const { recognizer, state } of [all[0]!, all[0]!, all[0]!, ...all]) {
      state.forget()
      trie.mask(recognizer, state)
      const held = all.filter(({ state }) => state.mask !== null)
      expect(held.length).toBeLessThanOrEqual(3)
      expect(state.mask).not.toBeNull()
    }
  })
})

describe('grammars', () => {
  it('follow rules, calls within calls, repetitions and comments', () => {
    const source = `
# balanced
root ::= item ("," item){0,2}
item ::= "(" root ")" | [a-c\\]]+ "\\x21"?`
    const texts = ['a', '(a,(b!)),c', 'a,b,c,a', ']', '(a', ')', 'a!!']
    expect(judgeAll({ grammar: source }, texts)).toEqual([
      ...['whole', 'whole', 'wrong', 'whole', 'prefix', 'wrong', 'wrong'],
    ])
  })

  it('nest as deep as a text does', () => {
    const deep = grammar({ grammar: 'root ::= "(" root ")" | ""' })
    expect(judge(deep, '('.repeat(3000) + ')'.repeat(3000))).toBe('whole')
    expect(judge(deep, '('.repeat(3000) + ')'.repeat(3001))).toBe('wrong')
  })

  it.each([
    ['root ::= (', /line 1, column 11: expected "\)", found the end/],
    ['a ::= "b"', /expected a rule "root", found none/],
    ['root ::= other', /no rule "other"/],
    ['root ::= "a\n"', /line 1, column 12: expected ", found/],
    ['root ::= [z-a]', /range in rising order/],
    ['root ::= "a"{2,1}', /m of at least n/],
    ['root ::= a\na ::= ""? root "x"', /rule "root" begins with itself/],
    ['root ::= a a b\na ::= ""\nb ::= a b?', /rule "b" begins with itself/],
    ['root ::= "\\xZZ"', /2 hexadecimal digits/],
  ])('refuses %j', (source, message) => {
    expect(failure({ grammar: source })).toThrow(message)
  })
})

describe('JSON Schemas', () => {
  it.each<[schema: object, whole: readonly string[], others: readonly string[]]>([
    [
      { type: 'string', minLength: 1, maxLength: 2 },
      ['"a"', '"é🐢"', '"\\n"'],
      ['""', '"abc"', '"\t"'],
    ],
    [{ type: 'integer', minimum: -5, maximum: 17 }, ['-5', '0', '17'], ['-6', '18', '01', '1.5']],
    [{ type: 'integer', exclusiveMinimum: 9, maximum: 1234 }, ['10', '999', '1234'], ['9', '1235']],
    [
      { type: 'integer', minimum: -(2 ** 63), maximum: 2 ** 63 - 1 },
      ['0', '-9007199254740991', '9007199254740991'],
      ['9007199254740992', '1.5'],
    ],
    [
      { type: 'number', minimum: 0.5, maximum: 1.25 },
      ['0.5', '0.75', '1', '1.25', '1.2'],
      ['0.4', '1.26', '0'],
    ],
    [
      { type: 'number', exclusiveMinimum: -1.5, exclusiveMaximum: 0 },
      ['-1.4', '-0.01', '-1'],
      ['-1.5', '0', '0.1'],
    ],
    [{ type: 'number', exclusiveMinimum: 0 }, ['0.1', '3', '0.001'], ['0', '0.0', '-1']],
    [{ enum: ['a', 1, null, { b: [2] }] }, ['"a"', '1', 'null', '{"b":[2]}'], ['2', '"b"']],
    [{ type: ['string', 'null'] }, ['"x"', 'null'], ['1']],
    [
      { type: 'array', items: { type: 'boolean' }, minItems: 1, maxItems: 2 },
      ['[true]', '[ true, false ]'],
      ['[]', '[true,true,true]'],
    ],
    [
      {
        type: 'array',
        prefixItems: [{ type: 'null' }, { type: 'integer' }],
        items: false,
        minItems: 1,
      },
      ['[null]', '[null, 3]'],
      ['[]', '[null,3,4]', '[3]'],
    ],
    [
      { type: 'object', properties: { a: { type: 'integer' }, b: {} }, required: ['b'] },
      ['{"b":[{}]}', '{ "a": 1, "b": "x" }'],
      ['{}', '{"a":1}', '{"b":1,"a":1}'],
    ],
    [
      { type: 'object', additionalProperties: { type: 'integer' } },
      ['{}', '{"x":1,"y":2}'],
      ['{"x":"1"}'],
    ],
    [
      { $ref: '#/$defs/tree', $defs: { tree: { type: 'array', items: { $ref: '#/$defs/tree' } } } },
      ['[]', '[[],[[]]]'],
      ['[1]', '{}'],
    ],
    [{ type: 'string', pattern: '^a"b\\\\$' }, ['"a\\"b\\\\"'], ['"ab"']],
    [{ type: 'string', pattern: 'x' }, ['"x"', '"axb"', '"\\nx"'], ['"a"']],
    [
      { type: 'string', format: 'date-time' },
      ['"2024-02-28T23:59:59Z"'],
      ['"2024-02-30T00:00:00Z"'],
    ],
    [
      { type: 'string', format: 'ipv4' },
      ['"0.10.199.255"'],
      ['"01.2.3.4"', '"1.2.3.00"', '"1.2.3.256"'],
    ],
    [
      {
        oneOf: [
          { type: 'object', properties: { k: { const: 1 } }, required: ['k'] },
          { type: 'object', properties: { k: { const: 2 } }, required: ['k'] },
        ],
      },
      ['{"k":1}', '{"k":2}'],
      ['{"k":3}'],
    ],
    [{}, ['{"a":[1,"b",null,true,-1.5e3]}', '[ ]'], ['01', "'a'"]],
  ])('%j', (schema, whole, others) => {
    const recognizer = grammar({ json: schema })
    const valid = new Ajv2020({
      strict: false,
      formats: { 'date-time': true, ipv4: true },
    }).compile(schema)
    for (const text of whole) {
      expect([text, judge(recognizer, text), valid(JSON.parse(text))]).toEqual([
        text,
        'whole',
        true,
      ])
    }
    for (const text of others) expect([text, judge(recognizer, text)]).not.toEqual([text, 'whole'])
  })

  it.each([
    [{ type: 'foo' }, /#\/type: expected object, .* found "foo"/],
    [{ not: {} }, /#\/not: this keyword cannot be granted/],
    [{ type: 'array', uniqueItems: true }, /#\/uniqueItems/],
    [{ properties: { a: { type: 'integer', multipleOf: 2 } } }, /#\/properties\/a\/multipleOf/],
    [{ oneOf: [{ type: 'integer' }, { type: 'number' }] }, /may overlap; use anyOf/],
    [{ allOf: [{}, {}] }, /more than one schema/],
    [{ $ref: 'https://example.com/a' }, /expected "#" or "#\/…"/],
    [{ $ref: '#/$defs/none' }, /there is no #\/\$defs\/none/],
    [{ $ref: '#' }, /begins with itself/],
    [{ type: 'integer', minimum: 3, maximum: 2 }, /there is no such number/],
    [{ type: 'string', minLength: 3, maxLength: 2 }, /minLength is above maxLength/],
    [{ type: 'string', format: 'hostname' }, /expected one of date, .* found "hostname"/],
    [{ enum: ['a'], type: 'integer' }, /no value matches/],
    [false, /#: false matches nothing/],
    ['{', /structuredOutputs.json: expected JSON/],
  ])('refuses %j', (schema, message) => {
    expect(failure({ json: schema })).toThrow(message)
  })

  const pair = { type: 'object', properties: { a: { type: 'null' }, b: { type: 'array' } } }

  it('lets white space stand where models write it, and bounds it', () => {
    for (const json of [pair, {}]) {
      const judged = (text: string) => judge(grammar({ json }), text)
      expect(judged(`{\n${' '.repeat(20)}"a"`)).toBe('prefix')
      expect(judged('{\n  "a": null,\n  "b": [\n    1,\n    2\n  ]\n}')).toBe('whole')
      expect(judged('{ "a":null, "b": [1,2 ] }')).toBe('whole')
      const elsewhere = [
        `{\n${' '.repeat(21)}`,
        '{  ',
        '{"a" ',
        '{"a":\n',
        '{"a": null\n,',
        '{\n\n',
      ]
      expect(elsewhere.map(judged)).toEqual(elsewhere.map(() => 'wrong'))
    }
  })

  it('has no white space but one space behind a comma or colon, where that is wanted', () => {
    for (const json of [pair, {}]) {
      const judged = (text: string) => judge(grammar({ json, disableAnyWhitespace: true }), text)
      const compact = ['{"a": null, "b": [1, {"c": 2}]}', '{"a":null,"b":[1,{"c":2}]}', '{}']
      expect(compact.map(judged)).toEqual(compact.map(() => 'whole'))
      const spaced = [
        '{ ',
        '{\n',
        '{"a" ',
        '{"a":  ',
        '{"a":null ',
        '{"a":null,\n',
        '{"b":[ ',
        '{"b":[1 ',
      ]
      expect(spaced.map(judged)).toEqual(spaced.map(() => 'wrong'))
    }
  })
})

describe('the option', () => {
  it.each([
    [3, /structuredOutputs: expected an object, found 3/],
    [{}, /expected one of json, regex, choice and grammar/],
    [{ regex: 'a', choice: ['b'] }, /expected one of json/],
    [{ regexp: 'a' }, /regexp.*did you mean.*regex/i],
    [{ choice: [] }, /at least one text/],
    [{ choice: [''] }, /choice\[0\]: expected a string that is not empty/],
    [
      { json: {}, disableAnyWhitespace: 1 },
      /disableAnyWhitespace: expected true or false, found 1/,
    ],
    [
      { regex: 'a', disableAnyWhitespace: true },
      /disableAnyWhitespace: expected none beside regex, found true/,
    ],
    [{ disableAnyWhitespace: true }, /expected one of json/],
    [{ grammar: 'x'.repeat(65_537) }, /at most 65536 characters, found 65537/],
  ])('refuses %j', (value, message) => {
    expect(() => checkStructuredOutputs(value)).toThrow(message)
  })
})
