import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { grammar, judge } from './support/grammars.js'

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
    const valid = new Ajv2020({ strict: false, formats: { 'date-time': true } }).compile(schema)
    for (const text of whole) {
      expect([text, judge(recognizer, text), valid(JSON.parse(text))]).toEqual([
        text,
        'whole',
        true,
      ])
    }
    for (const text of others) expect([text, judge(recognizer, text)]).not.toEqual([text, 'whole'])
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
