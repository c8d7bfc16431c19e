import { describe } from '../check.js'
import { Automaton } from './automaton.js'
import { areDisjoint } from './disjoint-schemas.js'
import { NothingMatches, choice, optional, repeat, rule, sequence, text } from './grammar.js'
import type { Expression, Grammar } from './grammar.js'
import { numberSchema } from './json-numbers.js'
import { objectSchema } from './json-objects.js'
import { stringSchema } from './json-strings.js'
import * as json from './json-values.js'
import { mergeSchemas } from './merge-schemas.js'
import { Recognizer, type State } from './recognizer.js'
import {
  array,
  checkKeywords,
  count,
  hasType,
  keywordsOf,
  normalized,
  typesOf,
  type Fields,
  type Type,
} from './schema-fields.js'

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

/** What the kinds of values make their grammars of. */
export interface SchemaRules {
  /** What matches a schema that stands at a place. */
  schema(value: unknown, at: string, depth: number): Expression
  /** Gives an expression a name, so that it stands in the grammar once however often it is used. */
  name(expression: Expression): Expression
  /** Whether a value, as JSON writes it, matches an expression. */
  matches(expression: Expression, value: unknown): boolean
}

class SchemaCompiler implements SchemaRules {
  readonly #root: unknown
  readonly #rules: Map<string, Expression>
  /** Rules of referenced schemas, by reference. */
  readonly #references = new Map<string, string>()
  readonly #recognizers = new Map<Expression, Recognizer>()

  constructor(root: unknown, rules: ReadonlyMap<string, Expression>) {
    this.#root = root
    this.#rules = new Map(rules)
  }

  compile(): Grammar {
    this.#references.set('#', 'root')
    this.#rules.set('root', this.schema(this.#root, '#', 0))
    return { root: 'root', rules: this.#rules }
  }

  schema(value: unknown, at: string, depth: number): Expression {
    if (depth > MAX_DEPTH) throw new RangeError(`${at}: schemas nest more than ${MAX_DEPTH} deep`)
    const schema = normalized(value, at)
    if (schema === true) return json.anyValue
    if (schema === false) throw new NothingMatches(`${at}: false matches nothing`)
    const [keyword, ...others] = keywordsOf(schema)
    if (keyword === '$ref' && others.length === 0) return this.#reference(schema.$ref, at)
    if (schema.$ref !== undefined || schema.allOf !== undefined) return this.#all(schema, at, depth)
    for (const several of ['anyOf', 'oneOf'] as const) {
      if (schema[several] !== undefined) return this.#any(schema, several, at, depth)
    }
    if (schema.const !== undefined || schema.enum !== undefined) {
      return this.#constants(schema, at, depth)
    }
    const types = typesOf(schema, at)
    checkKeywords(schema, types, at)
    if (types.length === 0) return json.anyValue
    return choice(...types.map((type) => this.#typed(type, schema, at, depth)))
  }

  #typed(type: Type, schema: Fields, at: string, depth: number): Expression {
    switch (type) {
      case 'object':
        return objectSchema(this, schema, at, depth)
      case 'array':
        return this.#array(schema, at, depth)
      case 'string':
        return stringSchema(schema, at)
      case 'number':
      case 'integer':
        return numberSchema(type, schema, at)
      case 'boolean':
        return choice(text('true'), text('false'))
      case 'null':
        return text('null')
      default:
        return type satisfies never
    }
  }

  #array(schema: Fields, at: string, depth: number): Expression {
    const prefix = array(schema.prefixItems ?? [], `${at}/prefixItems`).map((item, i) =>
      this.schema(item, `${at}/prefixItems/${i}`, depth + 1),
    )
    const least = count(schema.minItems ?? 0, `${at}/minItems`)
    const most = count(schema.maxItems ?? Infinity, `${at}/maxItems`)
    if (least > most) throw new NothingMatches(`${at}: minItems is above maxItems`)
    if ((schema.uniqueItems ?? false) !== false && most > 1)
      throw new RangeError(`${at}/uniqueItems: this keyword cannot be granted here`)
    const { items = true } = schema
    const closed = items === false || most <= prefix.length
    if (closed && least > prefix.length)
      throw new NothingMatches(`${at}: minItems is above the items that there may be`)
    const item = closed ? null : this.name(this.schema(items, `${at}/items`, depth + 1))
    if (prefix.length === 0) {
      return json.listOf('[', item ?? sequence(), ']', least, item === null ? 0 : most)
    }
    return tuple(prefix, item, least, most)
  }

  /** Values that match a schema's own keywords, those that it refers to, and all that it lists. */
  #all(schema: Fields, at: string, depth: number): Expression {
    const { $ref: reference, allOf, ...own } = schema
    const listed = allOf === undefined ? [] : array(allOf, `${at}/allOf`)
    if (allOf !== undefined && listed.length === 0)
      throw new RangeError(`${at}/allOf: expected at least one schema`)
    const parts = [
      ...(keywordsOf(own).length > 0 ? [own] : []),
      ...(reference === undefined ? [] : [{ $ref: reference }]),
      ...listed,
    ]
    if (parts.length === 1) return this.schema(parts[0], `${at}/allOf/0`, depth + 1)
    const resolved = parts.map((part) => this.#resolved(part, at))
    const merged = resolved.reduce((one, other) => mergeSchemas(one, other, at))
    return this.schema(merged, at, depth + 1)
  }

  /** A schema, or what it refers to where it does nothing else. */
  #resolved(value: unknown, at: string): unknown {
    let schema = value
    for (let hops = 0; hops <= MAX_DEPTH; hops++) {
      const plain = normalized(schema, at)
      if (typeof plain === 'boolean' || plain.$ref === undefined) return plain
      const { $ref: reference, ...own } = plain
      const target = resolve(this.#root, reference, at)
      if (keywordsOf(own).length > 0) return { ...own, allOf: [target, ...allOf(own, at)] }
      schema = target
    }
    throw new RangeError(`${at}/$ref: references lead to each other`)
  }

  #any(schema: Fields, keyword: 'anyOf' | 'oneOf', at: string, depth: number): Expression {
    const { [keyword]: listed, ...own } = schema
    const place = `${at}/${keyword}`
    const bare = keywordsOf(own).length === 0
    const options = array(listed, place)
    if (options.length === 0) throw new RangeError(`${place}: expected at least one schema`)
    if (keyword === 'oneOf' && !areDisjoint(options, own.type)) {
      throw new RangeError(`${place}: its schemas may overlap; use anyOf`)
    }
    const all = options.map((option, i) => () => {
      const whole = bare ? option : { allOf: [own, option] }
      return this.schema(whole, `${place}/${i}`, depth + 1)
    })
    return choice(...possible(all))
  }

  #constants(schema: Fields, at: string, depth: number): Expression {
    const { const: single, enum: several, ...rest } = schema
    const listed = several === undefined ? [single] : array(several, `${at}/enum`)
    const same = (value: unknown) => JSON.stringify(value) === JSON.stringify(single)
    const types = schema.type === undefined ? null : typesOf(schema, at)
    let values = listed.filter(
      (value) => (single === undefined || same(value)) && (types === null || hasType(value, types)),
    )
    if (keywordsOf(rest).some((keyword) => keyword !== 'type')) {
      const whole = this.schema(rest, at, depth + 1)
      values = values.filter((value) => this.matches(whole, value))
    }
    if (values.length === 0) throw new NothingMatches(`${at}: no value matches`)
    return choice(...values.map(json.literal))
  }

  #reference(reference: unknown, at: string): Expression {
    const target = resolve(this.#root, reference, at)
    const key = String(reference)
    let name = this.#references.get(key)
    if (name === undefined) {
      name = `reference ${this.#references.size}`
      this.#references.set(key, name)
      this.#rules.set(name, this.schema(target, key, 0))
    }
    return rule(name)
  }

  name(expression: Expression): Expression {
    if (expression.kind === 'rule') return expression
    const name = `part ${this.#rules.size}`
    this.#rules.set(name, expression)
    return rule(name)
  }

  matches(expression: Expression, value: unknown): boolean {
    let recognizer = this.#recognizers.get(expression)
    if (recognizer === undefined) {
      const rules = new Map([...this.#rules, ['matched', expression] as const])
      recognizer = new Recognizer(new Automaton({ root: 'matched', rules }))
      this.#recognizers.set(expression, recognizer)
    }
    let state: State | null = recognizer.start
    for (const byte of Buffer.from(JSON.stringify(value))) {
      state = state && recognizer.step(state, byte)
    }
    return state?.mayEnd ?? false
  }
}

function allOf(schema: Fields, at: string): readonly unknown[] {
  return schema.allOf === undefined ? [] : array(schema.allOf, `${at}/allOf`)
}

/** The alternatives that some value matches. Throws what the first one does where there is none. */
function possible(options: readonly (() => Expression)[]): readonly Expression[] {
  const errors: NothingMatches[] = []
  const found = options.flatMap((option) => {
    try {
      return [option()]
    } catch (error) {
      if (!(error instanceof NothingMatches)) throw error
      errors.push(error)
      return []
    }
  })
  if (found.length === 0) throw errors[0]!
  return found
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

function resolve(root: unknown, reference: unknown, at: string): unknown {
  if (typeof reference !== 'string' || !/^#(\/|$)/.test(reference)) {
    throw new RangeError(`${at}/$ref: expected "#" or "#/…", found ${describe(reference)}`)
  }
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
