import { NothingMatches, optional, repeat, sequence, text, type Expression } from './grammar.js'
import { distinctItems } from './json-distinct-items.js'
import type { SchemaRules } from './json-schema.js'
import * as json from './json-values.js'
import { array, count, type Fields } from './schema-fields.js'

/** The arrays of a schema. Throws RangeError or TypeError naming the place of what cannot be granted. */
export function arraySchema(
  rules: SchemaRules,
  schema: Fields,
  at: string,
  depth: number,
): Expression {
  const least = count(schema.minItems ?? 0, `${at}/minItems`)
  const most = count(schema.maxItems ?? Infinity, `${at}/maxItems`)
  if (least > most) throw new NothingMatches(`${at}: minItems is above maxItems`)
  if ((schema.uniqueItems ?? false) !== false && most > 1)
    return distinctItems(rules, schema, at, least, most)
  const { prefixItems = [], items = true } = schema
  const listed = array(prefixItems, `${at}/prefixItems`).slice(0, most)
  const prefix: Expression[] = []
  for (const [i, value] of listed.entries()) {
    const place = rules.attempt(value, `${at}/prefixItems/${i}`, depth + 1)
    if (place === null) break
    prefix.push(place)
  }
  // Beyond a place at which nothing may stand there is none either.
  const open = prefix.length === listed.length && prefix.length < most
  const item = open ? rules.attempt(items, `${at}/items`, depth + 1) : null
  if (item === null && least > prefix.length)
    throw new NothingMatches(`${at}: minItems is above the items that there may be`)
  const other = item && rules.name(item)
  if (prefix.length > 0) return tuple(prefix, other, least, most)
  return json.listOf('[', other ?? sequence(), ']', least, other === null ? 0 : most)
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
  for (let i = prefix.length - 1; i > 0; i--) {
    rest = sequence(more(prefix[i]!), rest)
    if (i >= least) rest = optional(rest)
  }
  const filled = sequence(prefix[0]!, rest, json.ws)
  return sequence(text('['), json.ws, least === 0 ? optional(filled) : filled, text(']'))
}
