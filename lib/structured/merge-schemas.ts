import { describe, isRecord } from '../check.js'
import { NothingMatches } from './grammar.js'
import { Patterns } from './json-strings.js'
import {
  array,
  keywordsOf,
  namedTypes,
  normalized,
  record,
  strings,
  type Fields,
  type Schema,
  type Type,
} from './schema-fields.js'

/** How the values of a keyword that two schemas have become one. */
type Merge = (a: never, b: never, at: string) => unknown

/** Alternatives of a schema. */
const MAX_OPTIONS = 1000

const larger = (a: number, b: number, at: string) => Math.max(...numbers(a, b, at))
const smaller = (a: number, b: number, at: string) => Math.min(...numbers(a, b, at))

const MERGES: Readonly<Record<string, Merge>> = {
  type: mergeTypes,
  enum: (a: readonly unknown[], b: readonly unknown[]) => a.filter((value) => has(b, value)),
  required: (a: unknown, b: unknown, at: string) => [
    ...new Set([...strings(a, at), ...strings(b, at)]),
  ],
  patternProperties: (a: Fields, b: Fields) => merged(a, b),
  propertyNames: both,
  additionalProperties: both,
  items: both,
  pattern: (a: unknown, b: unknown) => new Patterns([a, b].flatMap(patternsOf)),
  multipleOf: commonMultiple,
  anyOf: mergeOptions,
  ...Object.fromEntries(
    ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'].map((name) => [
      name,
      larger,
    ]),
  ),
  ...Object.fromEntries(
    ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'].map((name) => [
      name,
      smaller,
    ]),
  ),
}

/**
 * The schema of the values that match both. Throws RangeError naming the place where there is none,
 * or where two keywords have no one that says the same.
 */
export function mergeSchemas(one: unknown, other: unknown, at: string): Schema {
  const a = withListedConstant(normalized(one, at))
  const b = withListedConstant(normalized(other, at))
  if (typeof a === 'boolean') return a && b
  if (typeof b === 'boolean') return b && a
  const schema: Record<string, unknown> = { ...a, ...b }
  for (const keyword of keywordsOf(a)) {
    if (keyword === 'properties' || keyword === 'prefixItems' || !(keyword in b)) continue
    const [value, beside] = [a[keyword], b[keyword]]
    if (same(value, beside)) continue
    const merge = MERGES[keyword] as ((a: unknown, b: unknown, at: string) => unknown) | undefined
    if (merge === undefined) throw new RangeError(`${at}/${keyword}: two cannot be granted at once`)
    schema[keyword] = merge(value, beside, `${at}/${keyword}`)
  }
  checkPatterns(a, b, at)
  checkPatterns(b, a, at)
  const properties = mergeProperties(a, b, at)
  if (properties !== null) schema.properties = properties
  const items = mergePrefixes(a, b)
  if (items !== null) schema.prefixItems = items
  return schema
}

/** Its constant as the only one of a list. */
function withListedConstant(schema: Schema): Schema {
  if (typeof schema === 'boolean' || schema.const === undefined) return schema
  const { const: single, ...rest } = schema
  const { enum: listed } = schema
  return {
    ...rest,
    enum: Array.isArray(listed) ? listed.filter((x) => has([x], single)) : [single],
  }
}

function has(values: readonly unknown[], value: unknown): boolean {
  return values.some((other) => same(other, value))
}

function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}

/** What matches both, as one list of parts. */
function both(a: unknown, b: unknown): Fields {
  return { allOf: [...new Set([a, b].flatMap(partsOf))] }
}

function partsOf(schema: unknown): readonly unknown[] {
  const [[keyword, parts] = [], ...others] = isRecord(schema) ? Object.entries(schema) : []
  return keyword === 'allOf' && others.length === 0 && Array.isArray(parts) ? parts : [schema]
}

/** Each of one with each of the other. */
function mergeOptions(one: unknown, other: unknown, at: string): readonly Fields[] {
  const [a, b] = [array(one, at), array(other, at)]
  if (a.length * b.length > MAX_OPTIONS)
    throw new RangeError(`${at}: ${a.length} with ${b.length} are more than ${MAX_OPTIONS}`)
  return a.flatMap((option) => b.map((beside) => both(option, beside)))
}

function mergeTypes(one: unknown, other: unknown, at: string): readonly Type[] {
  const [a, b] = [namedTypes(one, at), namedTypes(other, at)]
  const within = (type: Type, types: readonly Type[]) =>
    types.includes(type) || (type === 'integer' && types.includes('number'))
  const common = [...a.filter((type) => within(type, b)), ...b.filter((type) => within(type, a))]
  if (common.length === 0) throw new NothingMatches(`${at}: no value has both types`)
  return [...new Set(common)]
}

/** What is said of other names would be of those too that only one of them knows by a pattern. */
function checkPatterns(
  a: Fields,
  { patternProperties, additionalProperties }: Fields,
  at: string,
): void {
  if ((additionalProperties ?? true) === true) return
  const known = record(patternProperties ?? {}, `${at}/patternProperties`)
  const patterns = Object.keys(record(a.patternProperties ?? {}, `${at}/patternProperties`))
  if (patterns.every((pattern) => Object.hasOwn(known, pattern))) return
  throw new RangeError(
    `${at}: patternProperties of one schema and additionalProperties of another cannot be granted at once`,
  )
}

/** A property of one must be what the other says of those that it does not name. */
function mergeProperties(a: Fields, b: Fields, at: string): Fields | null {
  if (a.properties === undefined && b.properties === undefined) return null
  const [ours, theirs] = [a, b].map(({ properties }) =>
    record(properties ?? {}, `${at}/properties`),
  )
  return merged(
    restricted(ours!, theirs!, b.additionalProperties),
    restricted(theirs!, ours!, a.additionalProperties),
  )
}

function restricted(properties: Fields, named: Fields, rest: unknown): Fields {
  if (rest === undefined) return properties
  const within = ([name, value]: [string, unknown]) => [
    name,
    Object.hasOwn(named, name) ? value : rest === false ? false : both(value, rest),
  ]
  return Object.fromEntries(Object.entries(properties).map(within)) as Fields
}

/** The fields of both; those that both have are schemas that both hold. */
function merged(a: Fields, b: Fields): Fields {
  const shared = Object.keys(a).filter((name) => Object.hasOwn(b, name))
  return { ...a, ...b, ...Object.fromEntries(shared.map((name) => [name, both(a[name], b[name])])) }
}

/** Items at fixed places; beyond the places of one, what it says of the others. */
function mergePrefixes(a: Fields, b: Fields): readonly unknown[] | null {
  const [ours, theirs] = [a, b].map(({ prefixItems }) =>
    Array.isArray(prefixItems) ? (prefixItems as unknown[]) : [],
  )
  const places = Math.max(ours!.length, theirs!.length)
  if (places === 0) return null
  const at = (items: readonly unknown[], rest: unknown, i: number) =>
    i < items.length ? items[i] : (rest ?? true)
  return Array.from({ length: places }, (_, i) =>
    both(at(ours!, a.items, i), at(theirs!, b.items, i)),
  )
}

function numbers(a: unknown, b: unknown, at: string): readonly [number, number] {
  if (typeof a === 'number' && typeof b === 'number') return [a, b]
  throw new TypeError(`${at}: expected a number, found ${describe(typeof a === 'number' ? b : a)}`)
}

function patternsOf(pattern: unknown): readonly unknown[] {
  return pattern instanceof Patterns ? pattern.all : [pattern]
}

function commonMultiple(one: number, other: number, at: string): number {
  const [a, b] = numbers(one, other, at)
  const [large, small] = [Math.max(a, b), Math.min(a, b)]
  if (large % small === 0) return large
  if (!Number.isInteger(a) || !Number.isInteger(b)) {
    throw new RangeError(`${at}: ${a} and ${b} cannot be granted at once`)
  }
  const divisor = (x: number, y: number): number => (y === 0 ? x : divisor(y, x % y))
  return (large / divisor(large, small)) * small
}
