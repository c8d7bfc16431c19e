import { isRecord } from '../check.js'
import { keywordsOf, typeOf, type Fields, type Schema } from './schema-fields.js'

/** A schema without references and parts; false where nothing matches it. */
export type Merged = (schema: unknown) => Schema

/** What is plain of the values of a schema. */
interface Facts {
  /** As JSON writes them; null: others may match too. */
  readonly constants: ReadonlySet<string> | null
  readonly types: ReadonlySet<string> | null
  /** Of properties that each object has. */
  readonly properties: ReadonlyMap<string, () => readonly Facts[]>
}

const NONE: Facts = { constants: null, types: null, properties: new Map() }
/** How deep alternatives and properties are looked into. */
const MAX_DEPTH = 8

/**
 * Whether it is plain that no value matches two of these schemas: their types differ, their constants
 * do, or a property that both require does.
 */
export function areDisjoint(schemas: readonly unknown[], merged: Merged): boolean {
  const all = schemas.map((schema) => factsOf(schema, merged, 0))
  return all.every((one, i) => all.slice(i + 1).every((other) => differ(one, other)))
}

/** Whether each alternative of one differs from each of the other. */
function differ(one: readonly Facts[], other: readonly Facts[]): boolean {
  return one.every((a) => other.every((b) => differAlone(a, b)))
}

function differAlone(a: Facts, b: Facts): boolean {
  if (a.constants && b.constants) return !overlap(a.constants, b.constants)
  if (a.types && b.types && !overlap(a.types, b.types)) return true
  return [...a.properties].some(([name, facts]) => {
    const beside = b.properties.get(name)
    return beside !== undefined && differ(facts(), beside())
  })
}

/** One for each alternative of a schema. */
function factsOf(schema: unknown, merged: Merged, depth: number): readonly Facts[] {
  if (depth > MAX_DEPTH) return [NONE]
  const plain = merged(schema)
  if (typeof plain === 'boolean') return plain ? [NONE] : []
  for (const several of ['anyOf', 'oneOf'] as const) {
    const { [several]: listed, ...own } = plain
    if (!Array.isArray(listed)) continue
    const whole = (option: unknown) =>
      keywordsOf(own).length === 0 ? option : { allOf: [own, option] }
    return listed.flatMap((option) => factsOf(whole(option), merged, depth + 1))
  }
  const constants = constantsOf(plain)
  return [
    {
      constants: constants && new Set(constants.map((value) => JSON.stringify(value))),
      types: constants ? new Set(constants.map(typeOf)) : typesOf(plain),
      properties: propertiesOf(plain, (value) => factsOf(value, merged, depth + 1)),
    },
  ]
}

function constantsOf({ const: single, enum: several }: Fields): readonly unknown[] | null {
  if (single !== undefined) return [single]
  return Array.isArray(several) ? several : null
}

/** Integers are numbers. */
function typesOf({ type }: Fields): ReadonlySet<string> | null {
  if (type === undefined) return null
  const types = Array.isArray(type) ? (type as unknown[]) : [type]
  return new Set(types.map((name) => (name === 'integer' ? 'number' : String(name))))
}

function propertiesOf(
  { properties, required, type }: Fields,
  facts: (value: unknown) => readonly Facts[],
): Facts['properties'] {
  const found = new Map<string, () => readonly Facts[]>()
  // A schema without a type, but with properties, has objects only.
  if ((type ?? 'object') !== 'object' || !isRecord(properties) || !Array.isArray(required))
    return found
  for (const name of required as readonly unknown[]) {
    if (typeof name !== 'string' || !Object.hasOwn(properties, name)) continue
    let known: readonly Facts[] | undefined
    found.set(name, () => (known ??= facts(properties[name])))
  }
  return found
}

function overlap(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return [...a].some((value) => b.has(value))
}
