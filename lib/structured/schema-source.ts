import { describe } from '../check.js'
import { mergeSchemas } from './merge-schemas.js'
import { array, keywordsOf, located, normalized, type Schema } from './schema-fields.js'
import type { Work } from './work.js'

/** How many references lead on, and how deep lists of schemas stand in each other, before one is done. */
const MAX_HOPS = 64
/** Schemas that a value must match at once. */
const MAX_PARTS = 1000

/** What schemas refer to, and several that hold at once as one. */
export class SchemaSource {
  readonly #root: unknown
  readonly #work: Work

  constructor(root: unknown, work: Work) {
    this.#root = root
    this.#work = work
  }

  /** What a reference names. Throws RangeError where there is none. */
  resolve(reference: unknown, at: string): unknown {
    if (typeof reference !== 'string' || !/^#(\/|$)/.test(reference)) {
      throw new RangeError(`${at}/$ref: expected "#" or "#/…", found ${describe(reference)}`)
    }
    let value: unknown = this.#root
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

  /** What a value must match at once: a schema's own keywords, what it refers to, and all that it lists. */
  parts(schema: Schema, at: string): readonly unknown[] {
    if (typeof schema === 'boolean') return [schema]
    const { $ref: reference, allOf, ...own } = schema
    const listed = allOf === undefined ? [] : array(allOf, `${at}/allOf`)
    if (allOf !== undefined && listed.length === 0)
      throw new RangeError(`${at}/allOf: expected at least one schema`)
    if (listed.length > MAX_PARTS)
      throw new RangeError(`${at}/allOf: expected at most ${MAX_PARTS} schemas`)
    const others = [...(reference === undefined ? [] : [{ $ref: reference }]), ...listed]
    return keywordsOf(own).length > 0 || others.length === 0 ? [own, ...others] : others
  }

  /** The same schema without references and parts. Throws NothingMatches where these exclude each other. */
  merged(value: unknown, at: string, hops = 0): Schema {
    if (hops > MAX_HOPS) throw new RangeError(`${at}/$ref: references lead to each other`)
    const schema = normalized(value, at)
    if (isReference(schema)) return this.merged(this.resolve(schema.$ref, at), at, hops + 1)
    const parts = this.parts(schema, at)
    if (parts.length === 1) return schema
    located(at, () => parts.forEach(() => this.#work.spend('schemas')))
    return parts
      .map((part) => this.merged(part, at, hops + 1))
      .reduce((one, other) => mergeSchemas(one, other, at))
  }
}

/** Whether it refers to another and says no more. */
export function isReference(schema: Schema): schema is { readonly $ref: unknown } {
  if (typeof schema === 'boolean' || schema.$ref === undefined) return false
  return keywordsOf(schema).length === 1
}
