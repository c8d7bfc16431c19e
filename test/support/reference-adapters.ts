import type { AdaptOp, Value } from '../../lib/plan/ops.js'
import type { Row } from './reference-rows.js'

/** What an adapter adds to the columns of a product from `first` on. */
export interface ReferencePart {
  readonly first: number
  readonly scale: number
  readonly rank: number
  /** `[rank, columns of the input]` */
  readonly a: ArrayLike<number>
  /** `[columns that are changed, rank]` */
  readonly b: ArrayLike<number>
}

/** The parts of an adapter by the id of the weight that they change. */
export type ReferenceAdapter = ReadonlyMap<number, readonly ReferencePart[]>

/** Adds in place what the adapter of each row makes of it; undefined: the row has none. */
export function adapt(
  { input, target, weight }: AdaptOp,
  read: (value: Value) => Row[],
  adapters: readonly (ReferenceAdapter | undefined)[],
): Row[] {
  const rows = read(target)
  read(input).forEach((row, t) => {
    for (const part of adapters[t]?.get(weight.id) ?? []) addPart(part, row, rows[t]!)
  })
  return rows
}

function addPart({ first, scale, rank, a, b }: ReferencePart, row: Row, to: Row): void {
  const shrunk = Array.from({ length: rank }, (_, r) =>
    row.reduce((sum, x, i) => sum + x * a[r * row.length + i]!, 0),
  )
  for (let column = 0; column < b.length / rank; column++) {
    const added = shrunk.reduce((sum, x, r) => sum + x * b[column * rank + r]!, 0)
    to[first + column]! += scale * added
  }
}
