import { describe, isRecord } from '../check.js'
import { NothingMatches } from './grammar.js'

/** The keywords of a schema that is an object. */
export type Fields = Readonly<Record<string, unknown>>

export type Schema = boolean | Fields

export type Type = 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean' | 'null'

/** Keywords that say what a schema is for, not what matches it. */
const ANNOTATIONS = new Set([
  ...['title', 'description', 'default', 'examples', '$schema', '$id', '$comment', '$defs'],
  ...['definitions', 'deprecated', 'readOnly', 'writeOnly', '$anchor'],
  ...['contentEncoding', 'contentMediaType', 'contentSchema'],
  ...['example', 'externalDocs', 'xml', 'discriminator'], // OpenAPI's
])

/** The keywords that hold for values of a type; one of them alone implies its type. */
const KEYWORDS: Readonly<Record<Type, readonly string[]>> = {
  object: [
    ...['properties', 'required', 'additionalProperties', 'patternProperties', 'propertyNames'],
    ...['minProperties', 'maxProperties'],
  ],
  array: ['items', 'prefixItems', 'minItems', 'maxItems', 'uniqueItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf', 'format'],
  integer: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf', 'format'],
  boolean: [],
  null: [],
}

export const TYPES = Object.keys(KEYWORDS) as readonly Type[]

/** A keyword that a schema has and that holds for values of a type. */
export function keywordFor(type: Type, schema: Fields): string | undefined {
  return KEYWORDS[type].find((keyword) => schema[keyword] !== undefined)
}

/** The types that a schema names, or that its keywords imply; none: any. */
export function typesOf(schema: Fields, at: string): readonly Type[] {
  if (schema.type !== undefined) return namedTypes(schema.type, `${at}/type`)
  const implied = TYPES.find((candidate) => keywordFor(candidate, schema) !== undefined)
  return implied === undefined ? [] : [implied]
}

/** One type, or those of a list. */
export function namedTypes(type: unknown, at: string): readonly Type[] {
  const named = Array.isArray(type) ? (type as unknown[]) : [type]
  if (named.length === 0) throw new NothingMatches(`${at}: expected at least one type`)
  for (const name of named) {
    if ((TYPES as readonly unknown[]).includes(name)) continue
    throw new RangeError(`${at}: expected ${TYPES.join(', ')}, found ${describe(name)}`)
  }
  return named as Type[]
}

export function hasType(value: unknown, types: readonly Type[]): boolean {
  if (Number.isInteger(value) && types.includes('integer')) return true
  return types.includes(typeOf(value))
}

/** The type of a JSON value; integers are numbers. */
export function typeOf(value: unknown): Exclude<Type, 'integer'> {
  if (value === null) return 'null'
  return Array.isArray(value)
    ? 'array'
    : (typeof value as 'string' | 'number' | 'boolean' | 'object')
}

/** The keywords that are not annotations. */
export function keywordsOf(schema: Fields): readonly string[] {
  return Object.keys(schema).filter(
    (keyword) =>
      schema[keyword] !== undefined && !ANNOTATIONS.has(keyword) && !keyword.startsWith('x-'),
  )
}

/** Throws RangeError for a keyword that no value of these types has. */
export function checkKeywords(schema: Fields, types: readonly Type[], at: string): void {
  const granted = ['type', ...types.flatMap((type) => KEYWORDS[type])]
  for (const keyword of keywordsOf(schema)) {
    if (granted.includes(keyword)) continue
    throw new RangeError(`${at}/${keyword}: this keyword cannot be granted here`)
  }
}

/** Puts the place before the message of what `work` throws. */
export function located<T>(at: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    const kind = error instanceof NothingMatches ? NothingMatches : RangeError
    throw new kind(`${at}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
}

/** A schema with what OpenAPI 3.0 and older drafts spell otherwise as JSON Schema has it now. */
export function normalized(value: unknown, at: string): Schema {
  if (typeof value === 'boolean') return value
  const { nullable, ...schema }: Fields = record(value, at)
  if (excludesAll(schema.not)) return false
  if (nullable === true) return { anyOf: [schema, { type: 'null' }] }
  const { items, additionalItems, ...rest } = schema
  return Array.isArray(items)
    ? { ...rest, prefixItems: items as unknown[], items: additionalItems ?? true }
    : schema
}

/** `not` of what matches everything is how some write that nothing does. */
function excludesAll(schema: unknown): boolean {
  return schema === true || (isRecord(schema) && Object.keys(schema).length === 0)
}

export function record(value: unknown, at: string): Fields {
  if (isRecord(value)) return value
  throw new TypeError(`${at}: expected an object, found ${describe(value)}`)
}

export function array(value: unknown, at: string): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw new TypeError(`${at}: expected an array, found ${describe(value)}`)
}

export function strings(value: unknown, at: string): readonly string[] {
  const all = array(value, at)
  if (all.every((each) => typeof each === 'string')) return all
  throw new TypeError(`${at}: expected an array of strings, found ${describe(value)}`)
}

export function count(value: unknown, at: string): number {
  if (value === Infinity || (Number.isInteger(value) && (value as number) >= 0))
    return value as number
  throw new RangeError(`${at}: expected an integer of at least 0, found ${describe(value)}`)
}
