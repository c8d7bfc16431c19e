/** From one index up to another, which it does not reach. */
export interface Range {
  readonly from: number
  readonly to: number
}

/** The columns that each rank holds of a value, in order. */
export type Cut = readonly (readonly Range[])[]

/** The query heads of a rank, and the key/value heads that they read. */
export interface HeadShare {
  readonly heads: Range
  readonly kvHeads: Range
}

/**
 * So many things shared out in order, as evenly as can be, a share a rank; null where there are not
 * enough for all. Shares begin at multiples of `unit`.
 *
 * @example
 * shareOut(5, 2) // [{ from: 0, to: 3 }, { from: 3, to: 5 }]
 */
export function shareOut(count: number, ranks: number, unit = 1): readonly Range[] | null {
  const units = Math.ceil(count / unit)
  if (units < ranks) return null
  const start = (rank: number) => Math.min(count, Math.ceil((units * rank) / ranks) * unit)
  return Array.from({ length: ranks }, (_, rank) => ({ from: start(rank), to: start(rank + 1) }))
}

/**
 * Shares out heads with the key/value heads that they read. Ranks that are more than key/value heads
 * keep one each, and share out the query heads that read it; null where there are too few heads.
 */
export function shareHeads(
  heads: number,
  kvHeads: number,
  ranks: number,
): readonly HeadShare[] | null {
  const readers = heads / kvHeads
  const shares = shareOut(kvHeads, ranks)
  if (shares) return shares.map((kv) => ({ heads: scaled(kv, readers), kvHeads: kv }))
  const kvHeadOf = (rank: number) => Math.floor((rank * kvHeads) / ranks)
  const owners = Array.from({ length: ranks }, (_, rank) => kvHeadOf(rank))
  const all = owners.map((kv, rank): HeadShare | null => {
    const first = owners.indexOf(kv)
    const share = shareOut(readers, owners.lastIndexOf(kv) + 1 - first)?.[rank - first]
    return share ? { heads: moved(share, kv * readers), kvHeads: { from: kv, to: kv + 1 } } : null
  })
  return all.every((share) => share !== null) ? all : null
}

/** The same range of things of which each is so many others. */
export function scaled({ from, to }: Range, size: number, offset = 0): Range {
  return { from: offset + from * size, to: offset + to * size }
}

export function moved({ from, to }: Range, by: number): Range {
  return { from: from + by, to: to + by }
}

export function lengthOf({ from, to }: Range): number {
  return to - from
}

/** What two cuts hold together. */
export function union(a: Cut, b: Cut): Cut {
  return a.map((ranges, rank) => {
    const joined: Range[] = []
    const all = [...ranges, ...(b[rank] ?? [])].sort((x, y) => x.from - y.from)
    for (const range of all) {
      const last = joined.at(-1)
      if (!last || last.to < range.from) joined.push(range)
      else joined[joined.length - 1] = { from: last.from, to: Math.max(last.to, range.to) }
    }
    return joined
  })
}

export function sameCut(a: Cut, b: Cut): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** The ranks' columns where these, side by side, are all of so many; else null. */
export function widthsOf(cut: Cut, columns: number): readonly number[] | null {
  let end = 0
  for (const { from, to } of cut.flat()) {
    if (from !== end) return null
    end = to
  }
  if (end !== columns) return null
  return cut.map((ranges) => ranges.reduce((sum, range) => sum + lengthOf(range), 0))
}
