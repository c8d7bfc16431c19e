import { Automaton } from './automaton.js'
import { areDisjoint } from './disjoint-schemas.js'
import { NothingMatches, choice, rule, text, whereSomeMatch } from './grammar.js'
import type { Expression, Grammar } from './grammar.js'
import { arraySchema } from './json-arrays.js'
import { constantSchema, constantsOf, listsConstants } from './json-constants.js'
import { numberSchema } from './json-numbers.js'
import { objectSchema } from './json-objects.js'
import { stringSchema } from './json-strings.js'
import * as json from './json-values.js'
import { Recognizer } from './recognizer.js'
import { array, checkKeywords, keywordsOf, located, normalized, typesOf } from './schema-fields.js'
import type { Fields, Schema, Type } from './schema-fields.js'
import { SchemaSource, isReference } from './schema-source.js'
import type { Work } from './work.js'

/** How deep schemas may nest without a reference. */
const MAX_DEPTH = 64

/**
 * The grammar of the JSON texts that match a schema. Each text that it allows is valid; it leaves out
 * other spellings of a value, properties that the schema merely tolerates, and digits beyond float64.
 * Throws RangeError or TypeError naming the place of a keyword that it cannot grant: none is ignored.
 */
export function jsonSchemaGrammar(schema: unknown, compact: boolean, work: Work): Grammar {
  return new SchemaCompiler(schema, json.jsonRules(compact), work).compile(schema)
}

/** What the kinds of values make their grammars of. */
export interface SchemaRules {
  readonly work: Work
  /** What matches a schema that stands at a place. Throws NothingMatches where nothing does. */
  schema(value: unknown, at: string, depth: number): Expression
  /** The same, or null where nothing matches. */
  attempt(value: unknown, at: string, depth: number): Expression | null
  /** The values of a schema that lists them; null: it does not. */
  constants(value: unknown, at: string): readonly unknown[] | null
  /** Gives an expression a name, so that it stands in the grammar once however often it is used. */
  name(expression: Expression): Expression
  /** Whether a value, as JSON writes it, matches an expression without rules of its own. */
  matches(expression: Expression, value: unknown): boolean
}

class SchemaCompiler implements SchemaRules {
  readonly work: Work
  readonly #source: SchemaSource
  /** Those of all schemas. */
  readonly #common: ReadonlyMap<string, Expression>
  readonly #rules: Map<string, Expression>
  /** Rules of referenced schemas, by reference. */
  readonly #references = new Map<string, string>()
  readonly #recognizers = new Map<Expression, Recognizer>()

  constructor(root: unknown, rules: ReadonlyMap<string, Expression>, work: Work) {
    this.#source = new SchemaSource(root, work)
    this.#common = rules
    this.#rules = new Map(rules)
    this.work = work
  }

  compile(root: unknown): Grammar {
    this.#references.set('#', 'root')
    this.#rules.set('root', this.schema(root, '#', 0))
    return { root: 'root', rules: this.#rules }
  }

  schema(value: unknown, at: string, depth: number): Expression {
    if (depth > MAX_DEPTH) throw new RangeError(`${at}: schemas nest more than ${MAX_DEPTH} deep`)
    this.#read(at)
    const schema = normalized(value, at)
    if (schema === true) return json.anyValue
    if (schema === false) throw new NothingMatches(`${at}: false matches nothing`)
    if (isReference(schema)) return this.#reference(schema.$ref, at)
    if (schema.$ref !== undefined || schema.allOf !== undefined) {
      const [part, ...others] = this.#source.parts(schema, at)
      const whole = others.length === 0 ? part : this.#source.merged(schema, at)
      return this.schema(whole, at, depth + 1)
    }
    for (const several of ['anyOf', 'oneOf'] as const) {
      if (schema[several] !== undefined) return this.#any(schema, several, at, depth)
    }
    if (listsConstants(schema)) return constantSchema(this, schema, at)
    const types = typesOf(schema, at)
    checkKeywords(schema, types, at)
    if (types.length === 0) return json.anyValue
    return this.#possible(types.map((type) => () => this.#typed(type, schema, at, depth)))
  }

  attempt(value: unknown, at: string, depth: number): Expression | null {
    return this.#attempt(() => this.schema(value, at, depth))
  }

  #typed(type: Type, schema: Fields, at: string, depth: number): Expression {
    switch (type) {
      case 'object':
        return objectSchema(this, schema, at, depth)
      case 'array':
        return arraySchema(this, schema, at, depth)
      case 'string':
        return stringSchema(schema, at, this.work)
      case 'number':
      case 'integer':
        return numberSchema(type, schema, at, this.work)
      case 'boolean':
        return choice(text('true'), text('false'))
      case 'null':
        return text('null')
      default:
        return type satisfies never
    }
  }

  #any(schema: Fields, keyword: 'anyOf' | 'oneOf', at: string, depth: number): Expression {
    const { [keyword]: listed, ...own } = schema
    const place = `${at}/${keyword}`
    const bare = keywordsOf(own).length === 0
    const options = array(listed, place).map((option) => (bare ? option : { allOf: [own, option] }))
    if (options.length === 0) throw new RangeError(`${place}: expected at least one schema`)
    if (keyword === 'oneOf' && !areDisjoint(options, (option) => this.#merged(option, place)))
      throw new RangeError(`${place}: its schemas may overlap; use anyOf`)
    return this.#possible(
      options.map((option, i) => () => this.schema(option, `${place}/${i}`, depth + 1)),
    )
  }

  #merged(schema: unknown, at: string): Schema {
    this.#read(at)
    return whereSomeMatch(() => this.#source.merged(schema, at)) ?? false
  }

  #reference(reference: unknown, at: string): Expression {
    const target = this.#source.resolve(reference, at)
    const key = String(reference)
    let name = this.#references.get(key)
    if (name === undefined) {
      name = `reference ${this.#references.size}`
      this.#references.set(key, name)
      this.#rules.set(name, this.schema(target, key, 0))
    }
    return rule(name)
  }

  constants(value: unknown, at: string): readonly unknown[] | null {
    const schema = this.#source.merged(value, at)
    if (typeof schema === 'boolean' || !listsConstants(schema)) return null
    return constantsOf(this, schema, at)
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
      const rules = new Map([...this.#common, ['matched', expression] as const])
      recognizer = new Recognizer(new Automaton({ root: 'matched', rules }, this.work))
      this.#recognizers.set(expression, recognizer)
    }
    return recognizer.after(JSON.stringify(value))?.mayEnd ?? false
  }

  /** One of those that some value matches. Throws what the first one does where there is none. */
  #possible(options: readonly (() => Expression)[]): Expression {
    const errors: NothingMatches[] = []
    const found = options.flatMap((option) => this.#attempt(option, errors) ?? [])
    if (found.length === 0 && errors.length > 0) throw errors[0]!
    return choice(...found)
  }

  /** Null where no value matches; then the rules that were made for it are none. */
  #attempt(make: () => Expression, errors: NothingMatches[] = []): Expression | null {
    const made = [this.#rules, this.#references] as const
    const sizes = made.map(({ size }) => size)
    try {
      return make()
    } catch (error) {
      if (!(error instanceof NothingMatches)) throw error
      errors.push(error)
      made.forEach((map, i) => [...map.keys()].slice(sizes[i]).forEach((key) => map.delete(key)))
      return null
    }
  }

  /** Counts a schema. */
  #read(at: string): void {
    located(at, () => this.work.spend('schemas'))
  }
}
