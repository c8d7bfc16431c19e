import { colsOf } from './checker.js'
import type { TensorView, Weight, WeightSource } from './ops.js'
import { lengthOf, type Range } from './shares.js'
import { quantizationOf } from './size.js'

/** A weight that is not declared yet. */
export type NewWeight = Omit<Weight, 'id'>

type Loops = TensorView['loops']

/** The weight of some rows of a matrix, or of some elements of a vector, in the order of the ranges. */
export function rowSlice(weight: Weight, ranges: readonly Range[]): NewWeight {
  const { id: _, ...whole } = weight
  const rows = ranges.reduce((sum, range) => sum + lengthOf(range), 0)
  if (ranges.length === 1 && rows === weight.shape[0]) return whole
  const sources = ranges.flatMap((range) => sourcesWithin(weight, range))
  return { ...whole, shape: [rows, ...weight.shape.slice(1)], sources }
}

/** The weight of some neighbouring columns of a matrix. */
export function columnSlice(weight: Weight, range: Range): NewWeight {
  const { id: _, ...whole } = weight
  const sources = weight.sources.map((source) => {
    const view = viewOfSource(source, colsOf(weight))
    return { ...source, view: { ...view, first: view.first + range.from * view.columnStep } }
  })
  return { ...whole, shape: [weight.shape[0] ?? 0, lengthOf(range)], sources }
}

/** Whether a matrix can be cut before and behind those columns: no quantisation group may be torn. */
export function isColumnSlice(weight: Weight, { from, to }: Range): boolean {
  const unit = columnUnit(weight)
  return from % unit === 0 && (to % unit === 0 || to === colsOf(weight))
}

/** Columns of a matrix that must stay together. */
export function columnUnit({ type }: Weight): number {
  return quantizationOf(type)?.group ?? 1
}

/** What the sources give of a range of the weight's rows. */
function sourcesWithin(weight: Weight, { from, to }: Range): WeightSource[] {
  let start = 0
  return weight.sources.flatMap((source) => {
    const own = { from: Math.max(from - start, 0), to: Math.min(to - start, source.rows) }
    start += source.rows
    if (own.from >= own.to) return []
    if (lengthOf(own) === source.rows) return [source]
    const { first, columnStep, loops } = viewOfSource(source, weight.shape[1] ?? 1)
    return loopsWithin(loops, own).map((part) => ({
      ...source,
      rows: part.loops.reduce((rows, { count }) => rows * count, 1),
      view: { first: first + part.first, columnStep, loops: part.loops },
    }))
  })
}

function viewOfSource({ rows, view }: WeightSource, columns: number): TensorView {
  return view ?? { first: 0, columnStep: 1, loops: [{ count: rows, step: columns }] }
}

/** Loops that count through a range of what the given ones count through, from `first` on. */
function loopsWithin(loops: Loops, { from, to }: Range): { first: number; loops: Loops }[] {
  const [outer, ...inner] = loops
  if (!outer || from >= to) return []
  const { step } = outer
  const size = inner.reduce((rows, { count }) => rows * count, 1)
  const within = (counter: number, range: Range) =>
    loopsWithin(inner, range).map((part) => ({ ...part, first: counter * step + part.first }))
  const [start, end] = [Math.ceil(from / size), Math.floor(to / size)]
  if (start > end) return within(end, { from: from - end * size, to: to - end * size })
  const whole = { first: start * step, loops: [{ count: end - start, step }, ...inner] }
  return [
    ...within(start - 1, { from: from - (start - 1) * size, to: size }),
    ...(start < end ? [whole] : []),
    ...within(end, { from: 0, to: to - end * size }),
  ]
}
