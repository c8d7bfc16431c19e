import { NothingMatches, choice, whereSomeMatch, type Expression } from './grammar.js'
import { numberSchema } from './json-numbers.js'
import type { SchemaRules } from './json-schema.js'
import { stringSchema } from './json-strings.js'
import * as json from './json-values.js'
import {
  TYPES,
  array,
  checkKeywords,
  hasType,
  keywordFor,
  typeOf,
  typesOf,
  type Fields,
} from './schema-fields.js'

/** Those of a schema that lists its values. Throws as `constantsOf` does. */
export function constantSchema(rules: SchemaRules, schema: Fields, at: string): Expression {
  return choice(...constantsOf(rules, schema, at).map(json.literal))
}

export function listsConstants(schema: Fields): boolean {
  return schema.const !== undefined || schema.enum !== undefined
}

/**
 * The values that a schema lists, of which those count that match its other keywords; a format is not
 * asked. Throws RangeError or TypeError naming the place of what cannot be granted.
 */
export function constantsOf(rules: SchemaRules, schema: Fields, at: string): readonly unknown[] {
  const { const: single, enum: several, ...others } = schema
  checkKeywords(others, TYPES, at)
  const listed = several === undefined ? [single] : array(several, `${at}/enum`)
  const same = (value: unknown) => JSON.stringify(value) === JSON.stringify(single)
  const types = schema.type === undefined ? TYPES : typesOf(schema, at)
  const judge = new Judge(rules, { ...others, format: undefined }, at)
  const values = listed.filter(
    (value) =>
      (single === undefined || same(value)) && hasType(value, types) && judge.matches(value),
  )
  if (values.length === 0) throw new NothingMatches(`${at}: no value matches`)
  return values
}

/** Judges values by the keywords that hold for their types. */
class Judge {
  readonly #rules: SchemaRules
  readonly #schema: Fields
  readonly #at: string
  /** What strings and numbers must be; null: none matches. */
  readonly #known = new Map<'string' | 'number', Expression | null>()

  constructor(rules: SchemaRules, schema: Fields, at: string) {
    this.#rules = rules
    this.#schema = schema
    this.#at = at
  }

  matches(value: unknown): boolean {
    const type = typeOf(value)
    const keyword = keywordFor(type, this.#schema)
    if (keyword === undefined) return true
    if (type !== 'string' && type !== 'number')
      throw new RangeError(`${this.#at}/${keyword}: cannot be granted beside a constant ${type}`)
    const all = this.#all(type)
    return all !== null && this.#rules.matches(all, value)
  }

  #all(type: 'string' | 'number'): Expression | null {
    let all = this.#known.get(type)
    if (all === undefined) {
      all = whereSomeMatch(() =>
        type === 'string'
          ? stringSchema(this.#schema, this.#at, this.#rules.work)
          : numberSchema('number', this.#schema, this.#at, this.#rules.work),
      )
      this.#known.set(type, all)
    }
    return all
  }
}
