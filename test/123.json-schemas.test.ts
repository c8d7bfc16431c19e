import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { grammar, judge, randomText } from './support/grammars.js'
import { randomNumbers } from './support/random-schema.js'

const failure = (options: object) => () => grammar(options)

/** What judges texts by a schema; it knows neither OpenAPI's spellings nor those of older drafts. */
function validatorOf(schema: object): (text: string) => boolean {
  const ajv = new Ajv2020({ strict: false, multipleOfPrecision: 9 })
  addFormats.default(ajv)
  const valid = ajv.compile(inNewSpelling(schema))
  return (text) => valid(JSON.parse(text))
}

function inNewSpelling(schema: object): object {
  const { nullable, items, additionalItems, exclusiveMinimum, ...rest } = schema as Record<
    string,
    unknown
  >
  if (nullable === true) return { anyOf: [rest, { type: 'null' }] }
  if (Array.isArray(items)) return { ...rest, prefixItems: items, items: additionalItems }
  if (exclusiveMinimum === true)
    return { ...rest, minimum: undefined, exclusiveMinimum: rest.minimum }
  return schema
}

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

  it.each([
    [{ type: 'foo' }, /#\/type: expected object, .* found "foo"/],
    [{ not: {} }, /#\/not: this keyword cannot be granted/],
    [{ type: 'array', uniqueItems: true }, /#\/uniqueItems/],
    [{ properties: { a: { not: {} } } }, /#\/properties\/a\/not: this keyword/],
    [{ type: 'number', multipleOf: 0.00012345 }, /#: only multiples of 1 to 10000/],
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
    expect(failure({ json: schema })).toThrow(message)
  })

  /** With texts that must be whole. */
  it.each<[name: string, schema: object, whole: readonly string[]]>([
    [
      'no length and pattern',
      { minLength: 2, maxLength: 4, pattern: '^[a-z]+$' },
      ['"ab"', '"abcd"'],
    ],
    ['two patterns', { allOf: [{ pattern: '^ab.*' }, { pattern: '.*c$' }] }, ['"abc"', '"ab c"']],
    ['a property of characters', { pattern: '^\\p{Lu}\\p{L}*$' }, ['"Żółw"']],
    ['looks ahead', { pattern: '^(?!.*--)(?=.{3,5}$)[a-z-]+$' }, ['"a-b"', '"abcde"']],
    ['dates', { format: 'date' }, ['"2024-02-29"', '"2023-12-31"']],
    ['times', { format: 'time' }, ['"23:59:59Z"', '"00:00:00.123+01:00"']],
    ['dates with times', { format: 'date-time' }, ['"2000-02-29T00:00:00Z"']],
    ['durations', { format: 'duration' }, ['"P1Y2M3DT4H5M6S"', '"PT20M"', '"P3W"']],
    ['hosts', { format: 'hostname' }, ['"example.com"', '"a-b.c1.org"']],
    ['addresses', { format: 'ipv4' }, ['"127.0.0.1"', '"255.255.255.0"']],
    ['long addresses', { format: 'ipv6' }, ['"::1"', '"2001:db8::8a2e:370:7334"', '"::"']],
    [
      'URIs',
      { format: 'uri' },
      ['"https://a.example.com:80/b%20c/?d=e&f#g"', '"http://localhost/"'],
    ],
    ['references', { format: 'uri-reference' }, ['"/a/b"', '""', '"https://example.com"']],
    ['e-mail', { format: 'email' }, ['"ann.lee+x@mail.example-site.com"']],
    ['UUIDs', { format: 'uuid' }, ['"123e4567-e89b-12d3-a456-426614174000"']],
    ['pointers', { format: 'json-pointer' }, ['""', '"/a~1b/0"']],
    ['relative pointers', { format: 'relative-json-pointer' }, ['"0#"', '"1/a"']],
    ['base64', { format: 'byte' }, ['""', '"YQ=="', '"YWI="', '"YWJj"']],
    ['a format and a pattern', { format: 'date', pattern: '^20' }, ['"2024-02-29"']],
    ['a format that says nothing', { type: 'string', format: 'password' }, ['"x"']],
    ['numbers of 32 bits', { type: 'integer', format: 'int32' }, ['-2147483648', '2147483647']],
    ['multiples', { type: 'integer', multipleOf: 7, minimum: 0, maximum: 100 }, ['0', '49', '98']],
    ['multiples of a fraction', { type: 'number', multipleOf: 0.25 }, ['-1.75', '3', '0.250']],
    ['enum with more', { enum: [1, 5, 'abc'], type: ['number', 'string'], minimum: 2 }, ['5']],
    [
      'either with a type',
      { type: 'integer', anyOf: [{ maximum: 3 }, { minimum: 90 }] },
      ['3', '90'],
    ],
    [
      'alternatives that share properties',
      {
        type: 'object',
        properties: { id: { type: 'integer' }, k: {} },
        required: ['id', 'k'],
        oneOf: [
          { properties: { k: { const: 'a' } }, required: ['k'] },
          { properties: { k: { const: 'b' } }, required: ['k'] },
        ],
      },
      ['{"id":1,"k":"a"}', '{"id":2,"k":"b"}'],
    ],
    [
      'schemas at once',
      {
        allOf: [
          { $ref: '#/$defs/named' },
          {
            type: 'object',
            properties: { age: { type: 'number', minimum: 1 } },
            required: ['age'],
          },
          { properties: { age: { type: 'integer', maximum: 9 } } },
        ],
        $defs: {
          named: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
        },
      },
      ['{"name":"x","age":9}'],
    ],
    [
      'what refers to itself within others',
      {
        $ref: '#/$defs/dog',
        $defs: {
          animal: {
            type: 'object',
            properties: { young: { type: 'array', items: { $ref: '#/$defs/dog' } } },
          },
          dog: {
            allOf: [
              { $ref: '#/$defs/animal' },
              { properties: { bark: { type: 'boolean' } }, required: ['bark'] },
            ],
          },
        },
      },
      ['{"young":[{"young":[],"bark":true}],"bark":false}'],
    ],
    [
      'a closed schema beside another',
      {
        allOf: [
          { properties: { a: {}, b: {} } },
          { properties: { a: { const: 1 } }, required: ['a'], additionalProperties: false },
        ],
      },
      ['{"a":1}'],
    ],
    [
      'lists at once',
      {
        allOf: [
          { items: { type: 'integer' }, minItems: 1 },
          { prefixItems: [{ minimum: 5 }], maxItems: 2 },
        ],
      },
      ['[5]', '[5,1]'],
    ],
    ['a null of OpenAPI', { type: 'string', nullable: true, maxLength: 1 }, ['null', '"a"']],
    [
      'names',
      {
        type: 'object',
        propertyNames: { pattern: '^[a-z]$' },
        additionalProperties: { type: 'integer' },
      },
      ['{}', '{"a":1,"b":2}'],
    ],
    [
      'names of a list',
      {
        type: 'object',
        propertyNames: { enum: ['a', 'b'] },
        additionalProperties: { type: 'integer' },
        required: ['b'],
      },
      ['{"a":2,"b":1}', '{"b":2}'],
    ],
    [
      'patterns of names',
      {
        patternProperties: { '^x': { type: 'integer' }, y$: { type: 'null' } },
        additionalProperties: { type: 'boolean' },
      },
      ['{"xa":1,"by":null,"c":true}', '{}'],
    ],
    ['a pattern of all names', { patternProperties: { '.*': { type: 'integer' } } }, ['{"":1}']],
    [
      'a named property with a pattern',
      {
        properties: { xa: { minimum: 3 } },
        required: ['xa', 'xb'],
        patternProperties: { '^x': { type: 'integer' } },
      },
      ['{"xa":3,"xb":0}'],
    ],
    [
      'a number of properties',
      {
        type: 'object',
        properties: { a: { const: 1 }, b: { const: 2 }, c: { const: 3 } },
        minProperties: 1,
        maxProperties: 2,
      },
      ['{"a":1}', '{"b":2,"c":3}'],
    ],
    [
      'some property',
      {
        type: 'object',
        minProperties: 1,
        maxProperties: 2,
        additionalProperties: { type: 'null' },
      },
      ['{"a":null}'],
    ],
    [
      'items of older drafts',
      {
        type: 'array',
        items: [{ type: 'null' }],
        additionalItems: { type: 'boolean' },
        maxItems: 2,
      },
      ['[null]', '[null,true]'],
    ],
    [
      'bounds of older drafts',
      { type: 'integer', minimum: 1, exclusiveMinimum: true, maximum: 3 },
      ['2', '3'],
    ],
    [
      'what is said of a schema',
      { 'x-order': 1, example: 3, contentMediaType: 'text/plain', type: 'string' },
      ['""'],
    ],
  ])('grants %s', (_, schema, whole) => {
    const recognizer = grammar({ json: schema })
    const validate = validatorOf(schema)
    for (const text of whole) {
      expect([text, judge(recognizer, text)]).toEqual([text, 'whole'])
      expect([text, validate(text)]).toEqual([text, true])
    }
    const random = randomNumbers(7)
    for (let i = 0; i < 100; i++) {
      const text = randomText(recognizer, random)
      if (text !== null) expect([text, validate(text)]).toEqual([text, true])
    }
  })

  it.each<[name: string, type: z.ZodType, values: readonly unknown[]]>([
    [
      'formats',
      z.object({ a: z.email(), b: z.url(), c: z.uuid(), d: z.ipv6(), e: z.base64() }),
      [
        {
          a: 'a@b.co',
          b: 'https://c.de',
          c: '123e4567-e89b-12d3-a456-426614174000',
          d: '::1',
          e: '',
        },
      ],
    ],
    [
      'times',
      z.object({ a: z.iso.datetime(), b: z.iso.date(), c: z.iso.duration(), d: z.iso.time() }),
      [{ a: '2024-02-29T12:00:00Z', b: '2023-05-31', c: 'P1DT2H', d: '12:30' }],
    ],
    [
      'names',
      z.array(z.union([z.cuid2(), z.e164(), z.cidrv4(), z.emoji()])),
      [['+491234567', '10.0.0.0/8', '🐢']],
    ],
    [
      'parts of strings',
      z.string().startsWith('ab').endsWith('c').min(4).max(9),
      ['abxc', 'ababababc'],
    ],
    [
      'records',
      z.tuple([
        z.record(z.string(), z.int32()),
        z.record(z.enum(['a', 'b']), z.null()),
        z.partialRecord(z.enum(['a', 'b']), z.int()),
      ]),
      [[{ x: 1 }, { a: null, b: null }, {}]],
    ],
    [
      'intersections',
      z.intersection(z.object({ a: z.string() }), z.object({ b: z.number().multipleOf(0.5) })),
      [{ a: '', b: 2.5 }],
    ],
    [
      'kinds',
      z.discriminatedUnion('t', [
        z.object({ t: z.literal('a') }),
        z.object({ t: z.literal(['b', 'c']), x: z.number().nullable() }),
      ]),
      [{ t: 'a' }, { t: 'c', x: null }],
    ],
    [
      'what is read, not made',
      z.object({ n: z.string().transform(Number), d: z.int().default(3) }),
      [{ n: '3' }, { n: '', d: 1 }],
    ],
  ])('grants %s of Zod', (_, type, values) => {
    const recognizer = grammar({ json: type })
    for (const value of values) {
      expect([value, judge(recognizer, JSON.stringify(value))]).toEqual([value, 'whole'])
    }
    const random = randomNumbers(3)
    for (let i = 0; i < 100; i++) {
      const text = randomText(recognizer, random)
      if (text === null) continue
      const { error } = type.safeParse(JSON.parse(text))
      expect([text, error?.message]).toEqual([text, undefined])
    }
  })

  it('say what a library lacks to be read', () => {
    const mute = { '~standard': { version: 1, vendor: 'mute', validate: () => ({ value: 1 }) } }
    expect(failure({ json: mute })).toThrow(
      'structuredOutputs.json: a schema of "mute" does not tell its JSON Schema; convert it first',
    )
    expect(failure({ json: z.bigint() })).toThrow(/structuredOutputs.json: .*BigInt/)
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
