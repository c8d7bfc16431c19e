import { describe, isRecord, type RawOptions } from '../check.js'
import { areDisjoint } from './disjoint-schemas.js'
import { choice, optional, repeat, rule, sequence, text } from './grammar.js'
import type { Expression, Grammar } from './grammar.js'
import { integers, numbers, type Bound } from './json-numbers.js'
import { formatOf, patternOf } from './json-strings.js'
import * as json from './json-values.js'

export type Schema = boolean | Readonly<Record<string, unknown>>

type Type = 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean' | 'null'

/** Keywords that say what a schema is for, not what matches it. */
const ANNOTATIONS = new Set([
  ...['title', 'description', 'default', 'examples', '$schema', '$id', '$comment', '$defs'],
  ...['definitions', 'deprecated', 'readOnly', 'writeOnly'],
])

/** The keywords that hold for values of a type; one of them alone implies its type. */
const KEYWORDS: Readonly<Record<Type, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  integer: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  boolean: [],
  null: [],
}

/** How deep schemas may nest without a reference. */
const MAX_DEPTH = 64

/**
 * The grammar of the JSON texts that match a schema. Each text that it allows is valid; it leaves out
 * other spellings of a value, properties that the schema merely tolerates, and digits beyond float64.
 * Throws RangeError or TypeError naming the place of a keyword that it cannot grant: none is ignored.
 */
export function jsonSchemaGrammar(schema: unknown, { compact }: { compact: boolean }): Grammar {
  return new SchemaCompiler(schema, json.jsonRules(compact)).compile()
}

class SchemaCompiler {
  readonly #root: unknown
  readonly #rules: Map<string, Expression>
  /** Rules of referenced schemas, by reference. */
  readonly #references = new Map<string, string>()

  constructor(root: unknown, rules: ReadonlyMap<string, Expression>) {
    this.#root = root
    this.#rules = new Map(rules)
  }

  compile(): Grammar {
    this.#references.set('#', 'root')
    this.#rules.set('root', this.#schema(this.#root, '#', 0))
    return { root: 'root', rules: this.#rules }
  }

  #schema(value: unknown, at: string, depth: number): Expression {
    if (depth > MAX_DEPTH) throw new RangeError(`${at}: schemas nest more than ${MAX_DEPTH} deep`)
    const schema = checkSchema(value, at)
    if (schema === true) return json.anyValue
    if (schema === false) throw new RangeError(`${at}: false matches nothing`)
    if (schema.$ref !== undefined) return this.#reference(schema, at)
    if (schema.const !== undefined || schema.enum !== undefined) return constants(schema, at)
    for (const keyword of ['anyOf', 'oneOf', 'allOf'] as const) {
      if (schema[keyword] !== undefined) return this.#combine(schema, keyword, at, depth)
    }
    const types = typesOf(schema, at)
    checkKeywords(schema, ['type', ...types.flatMap((type) => KEYWORDS[type])], at)
    if (types.length === 0) return json.anyValue
    return choice(...types.map((type) => this.#typed(type, schema, at, depth)))
  }

  #typed(type: Type, schema: Exclude<Schema, boolean>, at: string, depth: number): Expression {
    switch (type) {
      case 'object':
        return this.#object(schema, at, depth)
      case 'array':
        return this.#array(schema, at, depth)
      case 'string':
        return stringSchema(schema, at)
      case 'number':
      case 'integer':
        return located(at, () => (type === 'integer' ? integers : numbers)(...boundsOf(schema, at)))
      case 'boolean':
        return choice(text('true'), text('false'))
      case 'null':
        return text('null')
      default:
        return type satisfies never
    }
  }

  /** Properties come in the schema's order; those that are not required may be left out. */
  #object(schema: Exclude<Schema, boolean>, at: string, depth: number): Expression {
    const properties = new Map(Object.entries(record(schema.properties ?? {}, `${at}/properties`)))
    const required = strings(schema.required ?? [], `${at}/required`)
    const rest = schema.additionalProperties ?? true
    for (const name of required) if (!properties.has(name)) properties.set(name, rest)
    if (properties.size === 0) {
      if (rest === false) return json.listOf('{', sequence(), '}', 0, 0)
      const value = this.#schema(rest, `${at}/additionalProperties`, depth + 1)
      return json.listOf('{', json.member(json.anyString, value), '}', 0, Infinity)
    }
    const members = [...properties].map(([name, value]) => ({
      expression: json.member(
        json.literal(name),
        this.#schema(value, `${at}/properties/${name}`, depth + 1),
      ),
      required: required.includes(name),
    }))
    return sequence(text('{'), json.ws, this.#members(members), text('}'))
  }

  /**
   * Members with commas between those that are there. `first[i]`: members from i on, none written yet;
   * `later[i]`: the same after one, each a rule, so that the grammar grows with the members only.
   */
  #members(
    members: readonly { readonly expression: Expression; readonly required: boolean }[],
  ): Expression {
    let later: Expression = json.ws
    let first: Expression = sequence()
    for (const { expression, required } of [...members].reverse()) {
      const after = this.#name(later)
      const written = sequence(json.comma, expression, after)
      const begun = sequence(expression, after)
      first = required ? begun : choice(begun, first)
      later = required ? written : choice(written, after)
    }
    return first
  }

  #array(schema: Exclude<Schema, boolean>, at: string, depth: number): Expression {
    const prefix = (array(schema.prefixItems ?? [], `${at}/prefixItems`) as unknown[]).map(
      (item, i) => this.#schema(item, `${at}/prefixItems/${i}`, depth + 1),
    )
    const least = count(schema.minItems ?? 0, `${at}/minItems`)
    const most = count(schema.maxItems ?? Infinity, `${at}/maxItems`)
    if (least > most) throw new RangeError(`${at}: minItems is above maxItems`)
    const { items = true } = schema
    const closed = items === false || most <= prefix.length
    if (closed && least > prefix.length)
      throw new RangeError(`${at}: minItems is above the items that there may be`)
    const item = closed ? null : this.#name(this.#schema(items, `${at}/items`, depth + 1))
    if (prefix.length === 0) {
      return json.listOf('[', item ?? sequence(), ']', least, item === null ? 0 : most)
    }
    return tuple(prefix, item, least, most)
  }

  #combine(
    schema: Exclude<Schema, boolean>,
    keyword: 'anyOf' | 'oneOf' | 'allOf',
    at: string,
    depth: number,
  ): Expression {
    checkKeywords(schema, [keyword], at)
    const place = `${at}/${keyword}`
    const options = array(schema[keyword], place)
    if (options.length === 0) throw new RangeError(`${place}: expected at least one schema`)
    if (keyword === 'allOf' && options.length > 1) {
      throw new RangeError(`${place}: more than one schema at once cannot be granted`)
    }
    if (keyword === 'oneOf' && !areDisjoint(options)) {
      throw new RangeError(`${place}: its schemas may overlap; use anyOf`)
    }
    return choice(...options.map((option, i) => this.#schema(option, `${place}/${i}`, depth + 1)))
  }

  #reference(schema: Exclude<Schema, boolean>, at: string): Expression {
    checkKeywords(schema, ['$ref'], at)
    const reference = schema.$ref
    if (typeof reference !== 'string' || !/^#(\/|$)/.test(reference)) {
      throw new RangeError(`${at}/$ref: expected "#" or "#/…", found ${describe(reference)}`)
    }
    let name = this.#references.get(reference)
    if (name === undefined) {
      name = `reference ${this.#references.size}`
      this.#references.set(reference, name)
      this.#rules.set(name, this.#schema(resolve(this.#root, reference, at), reference, 0))
    }
    return rule(name)
  }

  /** Gives an expression a name, so that it stands in the grammar once however often it is used. */
  #name(expression: Expression): Expression {
    if (expression.kind === 'rule') return expression
    const name = `part ${this.#rules.size}`
    this.#rules.set(name, expression)
    return rule(name)
  }
}

/** Items at fixed places, then others; those beyond `least` may be left out from the end. */
function tuple(
  prefix: readonly Expression[],
  item: Expression | null,
  least: number,
  most: number,
): Expression {
  const more = (expression: Expression) => sequence(json.comma, expression)
  const others = Math.max(0, least - prefix.length)
  let rest = item === null ? sequence() : repeat(more(item), others, most - prefix.length)
  const places = prefix.slice(0, most)
  for (let i = places.length - 1; i > 0; i--) {
    rest = sequence(more(places[i]!), rest)
    if (i >= least) rest = optional(rest)
  }
  const filled = sequence(places[0] ?? sequence(), rest, json.ws)
  return sequence(text('['), json.ws, least === 0 ? optional(filled) : filled, text(']'))
}

function constants(schema: Exclude<Schema, boolean>, at: string): Expression {
  checkKeywords(schema, ['const', 'enum', 'type'], at)
  const { const: single, enum: several } = schema
  const listed = several === undefined ? [single] : array(several, `${at}/enum`)
  const same = (value: unknown) => JSON.stringify(value) === JSON.stringify(single)
  const types = schema.type === undefined ? null : typesOf(schema, at)
  const values = listed.filter(
    (value) => (single === undefined || same(value)) && (types === null || hasType(value, types)),
  )
  if (values.length === 0) throw new RangeError(`${at}: no value matches`)
  return choice(...values.map(json.literal))
}

function hasType(value: unknown, types: readonly Type[]): boolean {
  if (value === null) return types.includes('null')
  if (Array.isArray(value)) return types.includes('array')
  if (Number.isInteger(value) && types.includes('integer')) return true
  return (types as readonly string[]).includes(typeof value)
}

function stringSchema(schema: Exclude<Schema, boolean>, at: string): Expression {
  const { minLength, maxLength, pattern, format } = schema
  const bounded = minLength !== undefined || maxLength !== undefined
  if (pattern !== undefined || format !== undefined) {
    const name = pattern === undefined ? 'format' : 'pattern'
    if (bounded) throw new RangeError(`${at}: ${name} and a length cannot be granted at once`)
    return located(`${at}/${name}`, () =>
      json.quoted(pattern === undefined ? formatOf(format) : patternOf(pattern)),
    )
  }
  const least = count(minLength ?? 0, `${at}/minLength`)
  const most = count(maxLength ?? Infinity, `${at}/maxLength`)
  if (least > most) throw new RangeError(`${at}: minLength is above maxLength`)
  return bounded ? json.stringOf(least, most) : json.anyString
}

function boundsOf(
  schema: Exclude<Schema, boolean>,
  at: string,
): [least: Bound | null, most: Bound | null] {
  const read = (name: string, open: boolean): Bound | null => {
    const value = schema[name]
    if (value === undefined) return null
    if (typeof value === 'number' && Number.isFinite(value)) return { value, open }
    throw new TypeError(`${at}/${name}: expected a number, found ${describe(value)}`)
  }
  const tighter = (a: Bound | null, b: Bound | null, sign: 1 | -1) => {
    if (a === null || b === null) return a ?? b
    return sign * (b.value - a.value) >= 0 ? b : a
  }
  return [
    tighter(read('minimum', false), read('exclusiveMinimum', true), 1),
    tighter(read('maximum', false), read('exclusiveMaximum', true), -1),
  ]
}

function typesOf(schema: Exclude<Schema, boolean>, at: string): readonly Type[] {
  const { type } = schema
  if (type === undefined) {
    const implied = (Object.keys(KEYWORDS) as Type[]).find((candidate) =>
      KEYWORDS[candidate].some((keyword) => schema[keyword] !== undefined),
    )
    return implied === undefined ? [] : [implied]
  }
  const named = Array.isArray(type) ? (type as unknown[]) : [type]
  if (named.length === 0) throw new RangeError(`${at}/type: expected at least one type`)
  for (const name of named) {
    if (typeof name === 'string' && Object.hasOwn(KEYWORDS, name)) continue
    throw new RangeError(
      `${at}/type: expected ${Object.keys(KEYWORDS).join(', ')}, found ${describe(name)}`,
    )
  }
  return named as Type[]
}

function checkKeywords(
  schema: Exclude<Schema, boolean>,
  granted: readonly string[],
  at: string,
): void {
  for (const keyword of Object.keys(schema)) {
    if (ANNOTATIONS.has(keyword) || granted.includes(keyword)) continue
    throw new RangeError(`${at}/${keyword}: this keyword cannot be granted here`)
  }
}

function resolve(root: unknown, reference: string, at: string): unknown {
  let value: unknown = root
  for (const part of reference.split('/').slice(1)) {
    const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
    const found: unknown =
      typeof value === 'object' && value !== null && Object.hasOwn(value, key)
        ? (value as Record<string, unknown>)[key]
        : undefined
    if (found === undefined) throw new RangeError(`${at}/$ref: there is no ${reference}`)
    value = found
  }
  return value
}

/** Puts the place before the message of what `work` throws. */
function located<T>(at: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw new RangeError(`${at}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
}

function checkSchema(value: unknown, at: string): Schema {
  return typeof value === 'boolean' ? value : record(value, at)
}

function record(value: unknown, at: string): RawOptions {
  if (isRecord(value)) return value
  throw new TypeError(`${at}: expected an object, found ${describe(value)}`)
}

function array(value: unknown, at: string): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw new TypeError(`${at}: expected an array, found ${describe(value)}`)
}

function strings(value: unknown, at: string): readonly string[] {
  const all = array(value, at)
  if (all.every((each) => typeof each === 'string')) return all
  throw new TypeError(`${at}: expected an array of strings, found ${describe(value)}`)
}

function count(value: unknown, at: string): number {
  if (value === Infinity || (Number.isInteger(value) && (value as number) >= 0))
    return value as number
  throw new RangeError(`${at}: expected an integer of at least 0, found ${describe(value)}`)
}
