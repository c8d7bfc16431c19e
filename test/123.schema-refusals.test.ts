import { describe, expect, it } from 'vitest'
import { grammar, judge } from './support/grammars.js'

const lengths = (keyword: string, count: number) =>
  Array.from({ length: count }, (_, i) => ({ [keyword]: i }))

/** Schemas each of which refers to the next. */
const levels = (count: number, schema: (next: object) => object) => [
  ...Array.from({ length: count }, (_, i) => schema({ $ref: `#/$defs/${i + 1}` })),
  {},
]

describe('JSON Schemas', () => {
  it.each([
    [{ type: 'foo' }, /#\/type: expected object, .* found "foo"/],
    [{ not: { const: 1 } }, /#\/not: this keyword cannot be granted/],
    [{ type: 'array', uniqueItems: true }, /#\/uniqueItems: only items that an enum lists can be/],
    [
      { items: { enum: Array.from('abcdefghijk') }, uniqueItems: true },
      /#\/uniqueItems: at most 10 constants can be granted, found 11/,
    ],
    [{ items: { enum: [{}, 1] }, uniqueItems: true }, /#\/uniqueItems: only items that an enum/],
    [{ items: { const: 1 }, uniqueItems: true, minItems: 2 }, /minItems is above the items/],
    [{ properties: { a: { not: { type: 'null' } } } }, /#\/properties\/a\/not: this keyword/],
    [
      { type: 'number', multipleOf: 0.00012345 },
      /#\/multipleOf: expected a number above 0, of at most 10000 units of its last digit, found 0.00012345/,
    ],
    [{ oneOf: [{ type: 'integer' }, { type: 'number' }] }, /may overlap; use anyOf/],
    [{ allOf: [] }, /#\/allOf: expected at least one schema/],
    [{ allOf: [{ type: 'string' }, { type: 'null' }] }, /#\/type: no value has both types/],
    [{ allOf: [{ format: 'date' }, { format: 'time' }] }, /#\/format: two cannot be granted/],
    [{ allOf: [{ pattern: '^a' }, { pattern: '^b' }] }, /#: no string matches all of this/],
    [{ $defs: { a: { $ref: '#/$defs/a' } }, allOf: [{ $ref: '#/$defs/a' }, {}] }, /lead to each/],
    [{ minProperties: 2 }, /#\/minProperties: more than 1 cannot be granted/],
    [{ properties: { a: {} }, minProperties: 2 }, /#: no object has as many properties/],
    [
      { required: ['a'], propertyNames: { maxLength: 0 } },
      /propertyNames does not allow this name/,
    ],
    [{ required: ['a'], additionalProperties: false }, /#\/properties\/a: false matches nothing/],
    [{ enum: ['abc'], maxLength: 2 }, /no value matches/],
    [{ $ref: 'https://example.com/a' }, /expected "#" or "#\/…"/],
    [{ $ref: '#/$defs/none' }, /there is no #\/\$defs\/none/],
    [{ $ref: '#' }, /begins with itself/],
    [{ type: 'integer', minimum: 3, maximum: 2 }, /there is no such number/],
    [{ type: 'string', minLength: 3, maxLength: 2 }, /minLength is above maxLength/],
    [{ type: 'string', format: 'regex' }, /#\/format: "regex" cannot be granted/],
    [{ type: 'string', minLength: 3, pattern: '^..$' }, /no string matches all of this/],
    [{ enum: ['a'], type: 'integer' }, /no value matches/],
    [false, /#: false matches nothing/],
    ['{', /structuredOutputs.json: expected JSON/],
  ])('refuses %j', (schema, message) => {
    expect(() => grammar({ json: schema })).toThrow(message)
  })

  it.each([
    [
      { allOf: [{ patternProperties: { '^x': {} } }, { additionalProperties: false }] },
      /#: patternProperties of one schema and additionalProperties of another cannot be granted/,
    ],
    [{ patternProperties: { a: {} }, propertyNames: { maxLength: 1 } }, /#: patternProp.* at once/],
    [
      { allOf: [{ multipleOf: 0.3 }, { multipleOf: 0.2 }] },
      /#\/multipleOf: 0.3 and 0.2 cannot be granted at once/,
    ],
    [{ type: 'number', multipleOf: -1 }, /#\/multipleOf: expected a number above 0/],
    [{ type: 'integer', multipleOf: 7, minimum: 1, maximum: 6 }, /no multiple of 7 from 1 to 6/],
    [{ allOf: [{ minimum: 1 }, { minimum: '2' }] }, /#\/minimum: expected a number, found "2"/],
    [
      { prefixItems: [{}], items: false, minItems: 2 },
      /minItems is above the items that there may/,
    ],
    [{ prefixItems: [{}, false], minItems: 2 }, /minItems is above the items that there may be/],
    [{ items: { type: 'integer', minimum: 1, maximum: 0 }, minItems: 1 }, /minItems is above/],
    [{ minItems: 2, maxItems: 1 }, /#: minItems is above maxItems/],
    [{ type: [] }, /#\/type: expected at least one type/],
    [
      { allOf: [{ type: 'string' }, { type: 'text' }] },
      /#\/type: expected object, .* found "text"/,
    ],
    [
      JSON.parse('{"items":'.repeat(65) + '{}' + '}'.repeat(65)) as object,
      /\/items: schemas nest more than 64 deep/,
    ],
    [
      { enum: [{ a: 1 }], required: ['a'] },
      /#\/required: cannot be granted beside a constant object/,
    ],
    [{ enum: ['a'], not: { type: 'null' } }, /#\/not: this keyword cannot be granted/],
    [{ $ref: '#/$defs/a', $defs: { a: { allOf: [{ $ref: '#/$defs/a' }] } } }, /begins with itself/],
  ])('refuses %j, and says why', (schema, message) => {
    expect(() => grammar({ json: schema })).toThrow(message)
  })

  it.each<[name: string, schema: object, message: RegExp]>([
    [
      'alternatives of alternatives',
      { allOf: [{ anyOf: lengths('minLength', 300) }, { anyOf: lengths('maxLength', 300) }] },
      /#\/anyOf: 300 with 300 are more than 1000/,
    ],
    ['parts', { allOf: lengths('minLength', 1001) }, /#\/allOf: expected at most 1000 schemas/],
    [
      'parts of parts',
      { $ref: '#/$defs/0', $defs: levels(20, (next) => ({ allOf: [next, next] })) },
      /#\/\$defs\/0: it is too large: more than 50000 schemas/,
    ],
    [
      'members of members',
      {
        $ref: '#/$defs/0',
        $defs: levels(20, (next) => ({
          properties: { a: { allOf: [next, {}] }, b: { allOf: [next, {}] } },
        })),
      },
      /it is too large: more than 50000 schemas/,
    ],
    [
      'looks ahead',
      { pattern: `^${'(?:(?=ab)[ab]+|c)?'.repeat(14)}$` },
      /#: it is too large: more than 200000 nodes/,
    ],
    [
      'texts at once',
      { allOf: [{ pattern: '^(?:a{499})*$' }, { pattern: '^(?:a{503})*$' }] },
      /#: it is too large: more than 200000 states/,
    ],
  ])('refuses too many %s', (_, schema, message) => {
    expect(() => grammar({ json: schema })).toThrow(message)
  })

  it('go on where a reference leads to what nothing matches', () => {
    const none = { type: 'string', minLength: 2, maxLength: 1 }
    const recognizer = grammar({
      json: {
        type: 'object',
        properties: { a: { $ref: '#/$defs/none' }, b: { $ref: '#/$defs/none' }, c: { const: 1 } },
        required: ['c'],
        $defs: { none: { type: 'array', items: none, prefixItems: [none], minItems: 1 } },
      },
    })
    expect(judge(recognizer, '{"c":1}')).toBe('whole')
    expect(judge(recognizer, '{"a"')).toBe('wrong')
  })
})
