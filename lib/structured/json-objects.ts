import { isPossible } from './automaton.js'
import { NothingMatches, choice, difference, sequence, text, type Expression } from './grammar.js'
import type { SchemaRules } from './json-schema.js'
import { patternOf } from './json-strings.js'
import * as json from './json-values.js'
import { mergeSchemas } from './merge-schemas.js'
import { count, located, record, strings, type Fields } from './schema-fields.js'

/** A member of an object that its schema names. */
interface Member {
  readonly expression: Expression
  readonly required: boolean
}

/** How many members an object may have. */
interface Size {
  readonly least: number
  readonly most: number
}

/** The objects of a schema. Throws RangeError or TypeError naming the place of what cannot be granted. */
export function objectSchema(
  rules: SchemaRules,
  schema: Fields,
  at: string,
  depth: number,
): Expression {
  return new ObjectCompiler(rules, schema, at, depth).compile()
}

class ObjectCompiler {
  readonly #rules: SchemaRules
  readonly #at: string
  readonly #depth: number
  readonly #properties: Map<string, unknown>
  readonly #required: readonly string[]
  /** What members that are not named must be. */
  readonly #rest: unknown
  readonly #patterns: readonly { readonly names: Expression; readonly value: unknown }[]
  /** What names must be; null: anything. */
  readonly #names: Expression | null
  readonly #size: Size

  constructor(rules: SchemaRules, schema: Fields, at: string, depth: number) {
    this.#rules = rules
    this.#at = at
    this.#depth = depth + 1
    this.#properties = new Map(Object.entries(record(schema.properties ?? {}, `${at}/properties`)))
    this.#required = strings(schema.required ?? [], `${at}/required`)
    this.#rest = schema.additionalProperties ?? true
    const patterns = record(schema.patternProperties ?? {}, `${at}/patternProperties`)
    this.#patterns = Object.entries(patterns).map(([pattern, value]) => ({
      names: json.quoted(located(`${at}/patternProperties/${pattern}`, () => patternOf(pattern))),
      value,
    }))
    this.#names = this.#namesOf(schema.propertyNames)
    this.#size = {
      least: count(schema.minProperties ?? 0, `${at}/minProperties`),
      most: count(schema.maxProperties ?? Infinity, `${at}/maxProperties`),
    }
  }

  compile(): Expression {
    for (const name of this.#required) {
      if (!this.#properties.has(name)) this.#properties.set(name, this.#unnamed(name))
    }
    return this.#properties.size > 0 ? this.#named() : this.#free()
  }

  /** Names from a list are properties. */
  #namesOf(value: unknown): Expression | null {
    if (value === undefined) return null
    const place = `${this.#at}/propertyNames`
    const schema = mergeSchemas({ type: 'string' }, value, place)
    if (typeof schema === 'object' && Array.isArray(schema.enum)) {
      for (const name of strings(schema.enum, place)) {
        if (!this.#properties.has(name)) this.#properties.set(name, this.#unnamed(name))
      }
    }
    return this.#rules.schema(schema, place, this.#depth)
  }

  /** What a member must be whose name the properties do not hold. */
  #unnamed(name: string): unknown {
    const values = this.#matching(name)
    return values.length === 0 ? this.#rest : { allOf: values }
  }

  /** What the patterns of a name say of its value. */
  #matching(name: string): readonly unknown[] {
    const held = this.#patterns.filter(({ names }) => this.#rules.matches(names, name))
    return held.map(({ value }) => value)
  }

  /** Properties come in the schema's order; those that are not required may be left out. */
  #named(): Expression {
    const members = [...this.#properties].flatMap(([name, value]) => {
      const required = this.#required.includes(name)
      const expression = this.#member(name, value, required)
      return expression === null ? [] : [{ expression, required }]
    })
    const all = new Members(this.#rules, members, this.#size).from(0, 0)
    if (all === null) throw new NothingMatches(`${this.#at}: no object has as many properties`)
    return sequence(text('{'), json.ws, all, text('}'))
  }

  /** Null where it may be left out and nothing matches. */
  #member(name: string, value: unknown, required: boolean): Expression | null {
    const place = `${this.#at}/properties/${name}`
    if (this.#names !== null && !this.#rules.matches(this.#names, name)) {
      if (!required) return null
      throw new NothingMatches(`${place}: propertyNames does not allow this name`)
    }
    const patterned = this.#matching(name)
    const schema = patterned.length === 0 ? value : { allOf: [value, ...patterned] }
    const make = required ? 'schema' : 'attempt'
    const found = this.#rules[make](schema, place, this.#depth)
    return found && this.#rules.name(json.member(json.literal(name), found))
  }

  /** Any members, as no property is named. */
  #free(): Expression {
    const { least, most } = this.#size
    if (least > 1 && least <= most)
      throw new RangeError(`${this.#at}/minProperties: more than 1 cannot be granted here`)
    const members = this.#freeMembers()
    if (least > most || (least > 0 && members.length === 0))
      throw new NothingMatches(`${this.#at}: no object has as many properties`)
    if (members.length === 0) return json.listOf('{', sequence(), '}', 0, 0)
    return json.listOf('{', this.#rules.name(choice(...members)), '}', least, most)
  }

  #freeMembers(): readonly Expression[] {
    const rest = this.#valueOf(this.#rest, 'additionalProperties')
    if (this.#patterns.length === 0) {
      return rest === null ? [] : [json.member(this.#names ?? json.anyString, rest)]
    }
    if (this.#names !== null)
      throw new RangeError(
        `${this.#at}: patternProperties and propertyNames cannot be granted at once`,
      )
    const kinds = this.#patterns.map(({ names, value }, i) => ({
      names,
      others: this.#patterns.flatMap((other, j) => (j === i ? [] : [other.names])),
      value: this.#valueOf(value, 'patternProperties'),
    }))
    const all = this.#patterns.map(({ names }) => names)
    return [...kinds, { names: json.quoted(json.characters), others: all, value: rest }].flatMap(
      ({ names, others, value }) => {
        const own = others.length === 0 ? names : difference(names, choice(...others))
        if (value === null || !isPossible(own, this.#rules.work)) return []
        return [json.member(own, value)]
      },
    )
  }

  /** What matches a schema; null where nothing does. */
  #valueOf(value: unknown, place: string): Expression | null {
    const found = this.#rules.attempt(value, `${this.#at}/${place}`, this.#depth)
    return found && this.#rules.name(found)
  }
}

/** Members in their order, with commas between those that are there. */
class Members {
  readonly #rules: SchemaRules
  readonly #members: readonly Member[]
  readonly #size: Size
  readonly #known = new Map<string, Expression | null>()

  constructor(rules: SchemaRules, members: readonly Member[], size: Size) {
    this.#rules = rules
    this.#members = members
    this.#size = size
  }

  /**
   * What members from one on may be written as, where so many stand before them: each a rule, so that
   * the grammar grows with the members only; null where these can be too few or too many only.
   */
  from(i: number, written: number): Expression | null {
    const key = `${i} ${this.#relevant(written)}`
    let found = this.#known.get(key)
    if (found === undefined) {
      found = this.#make(i, written)
      if (found !== null && written > 0) found = this.#rules.name(found)
      this.#known.set(key, found)
    }
    return found
  }

  #make(i: number, written: number): Expression | null {
    const member = this.#members[i]
    const { least, most } = this.#size
    if (member === undefined) return written < least ? null : written > 0 ? json.ws : sequence()
    const after = written < most ? this.from(i + 1, written + 1) : null
    const comma = written > 0 ? [json.comma] : []
    const options = [
      ...(after === null ? [] : [sequence(...comma, member.expression, after)]),
      ...(member.required ? [] : [this.from(i + 1, written)].filter((skipped) => skipped !== null)),
    ]
    return options.length === 0 ? null : choice(...options)
  }

  /** A number beyond which none makes a difference. */
  #relevant(written: number): number {
    const { least, most } = this.#size
    return most < this.#members.length ? written : Math.min(written, Math.max(1, least))
  }
}
