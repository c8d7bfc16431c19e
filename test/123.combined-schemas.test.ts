import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Recognizer } from '../lib/structured/recognizer.js'
import { endedTexts, grammar } from './support/grammars.js'

const name = fc.constantFrom('a', 'b', 'xa', 'xb', 'by')
const pattern = fc.constantFrom('^x', 'y$', '^[a-z]+$', '^(?!x)', '^.{1,3}$', '^\\d+$', '^[ab]*$')
const constant = fc.constantFrom<unknown>(1, 2, 'a', 'ab', null, true, 3.5, {}, { a: 1 }, [], [1])
const few = fc.integer({ min: 0, max: 4 })
const some = { requiredKeys: [] }

/** Schemas of all keywords that can be granted, which often go together badly. */
const { schema } = fc.letrec((tie) => {
  const inner = tie('schema')
  const list = fc.array(inner, { minLength: 1, maxLength: 3 })
  const members = (key: fc.Arbitrary<string>) => fc.dictionary(key, inner, { maxKeys: 3 })
  return {
    object: fc.record(
      {
        type: fc.constantFrom('object', ['object', 'null']),
        properties: members(name),
        required: fc.uniqueArray(name, { maxLength: 2 }),
        additionalProperties: inner,
        patternProperties: members(pattern),
        propertyNames: fc.oneof(
          fc.record({ enum: fc.uniqueArray(name, { minLength: 1 }) }),
          fc.record({ pattern }),
        ),
        minProperties: few,
        maxProperties: few,
      },
      some,
    ),
    schema: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom({}, true, { type: 'null' }, { type: 'integer' }),
      fc.record({ const: constant }),
      fc.record(
        {
          type: fc.constantFrom('integer', 'number', ['integer', 'string'], ['number', 'null']),
          minimum: fc.constantFrom(-3, 0, 2.5),
          maximum: fc.constantFrom(-1, 3, 100),
          exclusiveMinimum: fc.constantFrom(0, 0.5),
          multipleOf: fc.constantFrom(1, 3, 0.5, 10),
        },
        some,
      ),
      fc.record({ type: fc.constant('string'), minLength: few, maxLength: few, pattern }, some),
      tie('object'),
      fc.record(
        {
          type: fc.constant('array'),
          items: inner,
          prefixItems: list,
          minItems: few,
          maxItems: few,
          uniqueItems: fc.boolean(),
        },
        some,
      ),
      fc.record({ anyOf: list }),
      fc.record({ oneOf: list }),
      fc.record({ allOf: list }),
      fc.record({ allOf: fc.array(tie('object'), { minLength: 2, maxLength: 3 }) }),
      fc.record({ $ref: fc.constantFrom('#/$defs/p', '#/$defs/q') }),
      fc.record({ enum: fc.array(constant, { minLength: 1 }) }),
      // Keywords of two kinds side by side.
      fc.tuple(inner, inner).map(([one, other]) => ({ ...(one as object), ...(other as object) })),
    ),
  }
})
const whole = fc
  .tuple(schema, schema, schema)
  .map(([root, p, q]) => ({ ...(root as object), $defs: { p, q } }))

/** Judges texts; null where Ajv itself follows references without end. */
function validatorOf(json: object): ((text: string) => boolean) | null {
  const ajv = new Ajv2020({ strict: false, multipleOfPrecision: 9 })
  try {
    const valid = ajv.compile(json)
    valid({})
    return (text) => valid(JSON.parse(text))
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

it('random schemas are refused for a reason, or allow valid texts only, none of which is stuck', () => {
  let granted = 0
  fc.assert(
    fc.property(whole, (json) => {
      let recognizer: Recognizer
      try {
        recognizer = grammar({ json })
      } catch (error) {
        const { message } = error as Error
        expect(message).toMatch(/^structuredOutputs.json: (#|rule ".*" begins with)/)
        return
      }
      const valid = validatorOf(json)
      if (valid === null) return
      granted++
      for (const text of endedTexts(recognizer, 10)) {
        expect([text, valid(text)]).toEqual([text, true])
      }
    }),
    { seed: 7, numRuns: 200 },
  )
  expect(granted).toBeGreaterThan(80)
})
