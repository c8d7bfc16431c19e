import { isRecord } from '../check.js'

type Fields = Readonly<Record<string, unknown>>

/**
 * Whether it is plain that no value matches two of these schemas: their types differ, their constants
 * do, or objects tell themselves apart by the constants of a property that each requires. `type`: of
 * those that name none.
 */
export function areDisjoint(schemas: readonly unknown[], type?: unknown): boolean {
  const typed = schemas.map((schema) => (isRecord(schema) ? { type, ...schema } : null))
  return typed.every((schema, i) =>
    typed.slice(i + 1).every((other) => schema !== null && other !== null && differ(schema, other)),
  )
}

function differ(a: Fields, b: Fields): boolean {
  const [constantsOfA, constantsOfB] = [constantsOf(a), constantsOf(b)]
  if (constantsOfA && constantsOfB) return !overlap(constantsOfA, constantsOfB)
  const [typesOfA, typesOfB] = [typesOf(a), typesOf(b)]
  if (typesOfA && typesOfB && !overlap(typesOfA, typesOfB)) return true
  return requiredProperties(a).some(([name, property]) => {
    const other = requiredProperties(b).find(([candidate]) => candidate === name)?.[1]
    return other !== undefined && constantsOf(property) && constantsOf(other)
      ? differ(property, other)
      : false
  })
}

function constantsOf({ const: single, enum: several }: Fields): ReadonlySet<string> | null {
  if (single !== undefined) return new Set([JSON.stringify(single)])
  return Array.isArray(several) ? new Set(several.map((value) => JSON.stringify(value))) : null
}

/** Integers are numbers. */
function typesOf({ type }: Fields): ReadonlySet<string> | null {
  if (type === undefined) return null
  const types = Array.isArray(type) ? (type as unknown[]) : [type]
  return new Set(types.map((name) => (name === 'integer' ? 'number' : String(name))))
}

function requiredProperties({ properties, required, type }: Fields): [string, Fields][] {
  if (type !== 'object' || !isRecord(properties) || !Array.isArray(required)) return []
  return (required as unknown[]).flatMap((name): [string, Fields][] => {
    const property = typeof name === 'string' ? properties[name] : undefined
    return typeof name === 'string' && isRecord(property) ? [[name, property]] : []
  })
}

function overlap(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return [...a].some((value) => b.has(value))
}
