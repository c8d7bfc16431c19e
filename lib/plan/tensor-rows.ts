import { refusal } from './checker.js'
import type { TensorView, WeightSource } from './ops.js'

/** Rows that a weight takes of a checkpoint tensor: all of it, or those that `TensorRows` say, in turn. */
export type Part = number | TensorRows | readonly TensorRows[]

/** The same of a module's tensors: all rows of its matrix, some way ordered. */
export type ModulePart = number | readonly RowOrder[]

/** Rows of a tensor in the order in which a weight takes them. */
export interface RowOrder {
  /** How many rows there are of it. */
  readonly rows: number
  /** The first row. Default 0. */
  readonly first?: number
  /** Loops over the rows, the outermost first: how many times, and how many rows further each time. */
  readonly order?: readonly (readonly [count: number, step: number])[]
}

/**
 * Rows of a checkpoint tensor that is not simply what a linear op wants: several matrices stacked in
 * one tensor, columns stored where rows are wanted, rows in another order.
 *
 * @example
 * // Expert 3 of gate and up projections [experts, hidden, 2 × inner], whose columns take turns.
 * const gateUp: TensorRows = {
 *   rows: 2 * inner,
 *   shape: [experts, hidden, 2 * inner],
 *   matrix: 3,
 *   transposed: true,
 *   order: [[2, 1], [inner, 2]],
 * }
 */
export interface TensorRows extends RowOrder {
  /** The tensor's shape. A leading dimension more than the weight has counts matrices (or vectors). */
  readonly shape: readonly number[]
  /** Which of the matrices. Default 0. */
  readonly matrix?: number
  /** The last dimension is the rows, the one before it the columns. */
  readonly transposed?: boolean
  /** The first column of a transposed matrix that has more than are taken. Default 0. */
  readonly firstColumn?: number
}

/** What a module's part is of its tensor with so many columns (a vector: none). */
export function partOf(part: ModulePart, columns: number | undefined, transposed: boolean): Part {
  const orders = typeof part === 'number' ? [{ rows: part }] : part
  if (typeof part === 'number' && !transposed) return part
  const rows = orders.reduce((sum, order) => sum + order.rows, 0)
  if (columns === undefined) return orders.map((order) => ({ ...order, shape: [rows] }))
  const shape = transposed ? [columns, rows] : [rows, columns]
  return orders.map((order) => ({ ...order, shape, transposed }))
}

/** The elements that a part of a weight with so many columns (a vector: none) takes. */
function viewOf(part: TensorRows, columns: number | undefined): TensorView {
  const { rows, shape, matrix = 0, transposed = false, first = 0, order = [[rows, 1]] } = part
  const { firstColumn = 0 } = part
  const inner = columns === undefined ? shape.slice(-1) : shape.slice(-2)
  const size = inner.reduce((product, length) => product * length, 1)
  const columnStep = transposed ? (inner[1] ?? 1) : 1
  const rowStep = columns === undefined || transposed ? 1 : columns
  return {
    first: matrix * size + first * rowStep + firstColumn * columnStep,
    columnStep,
    loops: order.map(([count, step]) => ({ count, step: step * rowStep })),
  }
}

/**
 * The rows of a matrix with so many columns that a source takes of its tensor, which is that matrix or has its columns
 * as rows; null where it is another tensor.
 */
export function orderOf({ rows, shape, view }: WeightSource, columns: number): RowOrder | null {
  const [height, width] = shape
  const transposed = view !== undefined && (view.columnStep !== 1 || width !== columns)
  if (shape.length !== 2 || (transposed ? height : width) !== columns) return null
  if (!view) return { rows }
  const step = transposed ? 1 : columns
  const order = view.loops.map((loop) => [loop.count, loop.step / step] as const)
  return { rows, first: view.first / step, order }
}

/** How many rows a view has, and the last element that it reaches. */
function extentOf({ first, columnStep, loops }: TensorView, columns: number) {
  const rows = loops.reduce((product, { count }) => product * count, 1)
  const last = loops.reduce((at, { count, step }) => at + (count - 1) * step, first)
  return { rows, last: last + (columns - 1) * columnStep }
}

/** The sources of a weight with rows of that shape that a tensor gives. */
export function sourcesOf(name: string, part: Part, tail: readonly number[]): WeightSource[] {
  if (typeof part === 'number') return [{ name, rows: part, shape: [part, ...tail] }]
  return [part].flat().map((rows) => sourceOf(name, rows, tail))
}

function sourceOf(name: string, part: TensorRows, tail: readonly number[]): WeightSource {
  const { rows, shape } = part
  const view = viewOf(part, tail[0])
  const extent = extentOf(view, tail[0] ?? 1)
  const elements = shape.reduce((product, length) => product * length, 1)
  if (extent.rows !== rows || extent.last >= elements)
    throw refusal(
      `weight ${name}: ${extent.rows} rows up to element ${extent.last}, expected ${rows} within ${elements}`,
    )
  return { name, rows, shape, view }
}
