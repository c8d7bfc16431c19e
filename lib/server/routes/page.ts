import { checkChoice, checkInteger } from '../../check.js'

/** The most that a page holds. */
const MOST = 10_000

/**
 * A page of a list as OpenAI's API gives it: in the order asked for, behind the element `after`, at most
 * `limit` of them. Throws TypeError or RangeError naming the parameter, also one that is not known.
 */
export function pageOf(latestFirst: readonly object[], query: URLSearchParams): object {
  checkQuery(query, ['after', 'limit', 'order'])
  const order = checkChoice('order', query.get('order') ?? 'desc', ['asc', 'desc'])
  const limit = checkInteger('limit', Number(query.get('limit') ?? MOST), { min: 1, max: MOST })
  const all = order === 'desc' ? latestFirst : latestFirst.toReversed()
  const begin = query.has('after') ? indexOf(all, query.get('after')) + 1 : 0
  const data = all.slice(begin, begin + limit)
  return {
    ...{ object: 'list', data, first_id: idOf(data[0]), last_id: idOf(data.at(-1)) },
    has_more: begin + limit < all.length,
  }
}

/** Throws TypeError for a parameter that is none of these. */
export function checkQuery(query: URLSearchParams, known: readonly string[]): void {
  for (const name of query.keys()) {
    if (!known.includes(name)) throw new TypeError(`${name}: the path has no such parameter`)
  }
}

function idOf(element: object | undefined): unknown {
  return element !== undefined && 'id' in element ? element.id : null
}

function indexOf(all: readonly object[], id: string | null): number {
  const index = all.findIndex((element) => idOf(element) === id)
  if (index < 0) throw new RangeError(`after: expected the id of an element, found "${id}"`)
  return index
}
