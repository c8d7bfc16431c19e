import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { describe, expect, it } from 'vitest'
import { grammar, judge, randomTexts } from './support/grammars.js'

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
      'lists of a few items, as others cannot be',
      { prefixItems: [{ type: 'null' }, false], items: { type: 'string' } },
      ['[]', '[null]'],
    ],
    [
      'a pattern of names beside a closed schema that knows it',
      {
        allOf: [
          { patternProperties: { '^x': { type: 'integer' } } },
          { patternProperties: { '^x': { minimum: 1 } }, additionalProperties: false },
        ],
      },
      ['{"x":1}'],
    ],
    [
      'constants of which none comes twice',
      {
        items: { $ref: '#/$defs/tag' },
        uniqueItems: true,
        $defs: { tag: { enum: ['a', 'b', 3, 'a'] } },
      },
      ['[]', '["b","a"]', '[3,"a","b"]'],
    ],
    [
      'a number of constants of which none comes twice',
      { type: 'array', items: { enum: [1, 2, 3, 4] }, uniqueItems: true, minItems: 2, maxItems: 3 },
      ['[4,1]', '[2,3,1]'],
    ],
    ['an option that nothing matches', { anyOf: [{ not: {} }, { const: 1 }] }, ['1']],
    [
      'types of which one has no value',
      { type: ['integer', 'null'], minimum: 2, maximum: 1 },
      ['null'],
    ],
    ['constants with a format', { enum: ['2024-02-01', 3], format: 'date' }, ['"2024-02-01"', '3']],
    ['constants of some types', { enum: [{ a: 1 }, [1], 'abc'], maxLength: 2 }, ['{"a":1}', '[1]']],
    ['multiples of hundreds', { type: 'number', multipleOf: 1000 }, ['-3000', '0', '12000']],
    [
      'alternatives of which one cannot be',
      { type: 'string', pattern: '^(?:(?=a)b|c)(?:(?=d)e)?$' },
      ['"c"'],
    ],
    [
      'kinds that are referred to',
      {
        oneOf: [{ $ref: '#/$defs/cat' }, { $ref: '#/$defs/dog' }, { type: 'null' }],
        $defs: {
          pet: { type: 'object', properties: { kind: { type: 'string' } }, required: ['kind'] },
          cat: { allOf: [{ $ref: '#/$defs/pet' }, { properties: { kind: { const: 'cat' } } }] },
          dog: { allOf: [{ $ref: '#/$defs/pet' }, { properties: { kind: { enum: ['dog'] } } }] },
        },
      },
      ['{"kind":"cat"}', '{"kind":"dog"}', 'null'],
    ],
    [
      'kinds by the type of a property, and alternatives within alternatives',
      {
        oneOf: [
          { properties: { a: { type: 'integer' } }, required: ['a'] },
          { properties: { a: { anyOf: [{ type: 'null' }, { const: 'x' }] } }, required: ['a'] },
        ],
      },
      ['{"a":1}', '{"a":"x"}'],
    ],
    [
      'a list that may be null beside one of its references',
      {
        type: 'object',
        properties: { next: { allOf: [{ $ref: '#' }], description: 'again' } },
        additionalProperties: false,
      },
      ['{"next":{"next":{}}}'],
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
    for (const text of randomTexts(recognizer)) expect([text, validate(text)]).toEqual([text, true])
  })
})
