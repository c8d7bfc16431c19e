import { NothingMatches, choice, sequence, text, type Expression } from './grammar.js'
import type { SchemaRules } from './json-schema.js'
import * as json from './json-values.js'
import type { Fields } from './schema-fields.js'

/** Constants of which each may stand once: their subsets are rules. */
const MAX_CONSTANTS = 10

/**
 * Arrays of constants in any order, none of them twice. Throws RangeError naming the place where the
 * items are anything else.
 */
export function distinctItems(
  rules: SchemaRules,
  schema: Fields,
  at: string,
  least: number,
  most: number,
): Expression {
  const listed = schema.prefixItems === undefined && schema.items !== undefined
  const values = listed ? rules.constants(schema.items, `${at}/items`) : null
  if (values === null || values.some((value) => typeof value === 'object' && value !== null))
    throw new RangeError(`${at}/uniqueItems: only items that an enum lists can be granted`)
  const items = [...new Set(values.map((value) => JSON.stringify(value)))].map(text)
  if (items.length > MAX_CONSTANTS)
    throw new RangeError(
      `${at}/uniqueItems: at most ${MAX_CONSTANTS} constants can be granted, found ${items.length}`,
    )
  if (least > items.length)
    throw new NothingMatches(`${at}: minItems is above the items that there may be`)
  const all = new Subsets(rules, items, least, most).after([])
  return sequence(text('['), json.ws, all, text(']'))
}

/** What may follow items in an array, a rule for each set of them. */
class Subsets {
  readonly #rules: SchemaRules
  readonly #items: readonly Expression[]
  readonly #least: number
  readonly #most: number
  readonly #known = new Map<string, Expression>()

  constructor(rules: SchemaRules, items: readonly Expression[], least: number, most: number) {
    this.#rules = rules
    this.#items = items.map((item) => rules.name(item))
    this.#least = least
    this.#most = most
  }

  /** @param written the numbers of items that stand before, in ascending order */
  after(written: readonly number[]): Expression {
    const key = written.join()
    let found = this.#known.get(key)
    if (found === undefined) {
      found = this.#rules.name(choice(...this.#ways(written)))
      this.#known.set(key, found)
    }
    return found
  }

  #ways(written: readonly number[]): readonly Expression[] {
    const comma = written.length > 0 ? [json.comma] : []
    const end = written.length === 0 ? sequence() : json.ws
    const missing = written.length < this.#most ? [...this.#items.keys()] : []
    return [
      ...(written.length >= this.#least ? [end] : []),
      ...missing
        .filter((i) => !written.includes(i))
        .map((i) => {
          const all = [...written, i].sort((a, b) => a - b)
          return sequence(...comma, this.#items[i]!, this.after(all))
        }),
    ]
  }
}
