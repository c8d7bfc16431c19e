// A product that adapters change, for tests of every backend.
import { PlanBuilder } from '../../lib/plan/builder.js'
import type { CacheType, WeightType } from '../../lib/plan/ops.js'
import { makeAdapter, type MadeAdapter, type MadePart } from './made-adapters.js'
import {
  concatenate,
  MadeModel,
  normalNumbers,
  type NativeOptions,
  type PlanStep,
} from './run-plan.js'

export interface Shape {
  readonly columns?: number
  readonly rows?: readonly number[]
  readonly weightType?: WeightType
  /** On a GPU activations are of it where the weight is of codes. */
  readonly cacheType?: CacheType
  /** Of the weight's numbers. */
  readonly deviation?: number
  /** The product is that of the rows that are sampled. */
  readonly head?: boolean
}

/** One matrix of three sources over given rows, normalised first so that they may lie as codes. */
export function product({
  columns = 70,
  rows = [64, 33, 31],
  weightType = 'float32',
  cacheType = 'float32',
  deviation,
  head = false,
}: Shape = {}) {
  const vocabSize = head ? rows.reduce((a, b) => a + b) : 2
  const g = new PlanBuilder({ name: 'product', vocabSize, adapts: true, cacheType, weightType })
  const input = g.embed('input', g.table({ table: vocabSize }, columns))
  const normed = g.norm('norm', input, { norm: 'rms', eps: 1e-5 })
  const sources = Object.fromEntries(rows.map((count, i) => [`source.${i}`, count]))
  const weight = g.matrix(sources, columns)
  const out = g.linear('linear', head ? g.gatherRows('gather', normed) : normed, { weight })
  if (head) g.sample('sample', out)
  const model = new MadeModel(g.build(), { deviation })
  return { model, weight, input, normed, out, columns, head }
}

export type Product = ReturnType<typeof product>
export interface Rows {
  readonly count: number
  readonly adapter?: MadeAdapter
}

/** A step whose sequences have so many rows each, of numbers of their own; a head's are sampled at their last rows, the last first. */
export function stepOf(
  { input, columns, head }: Product,
  sequences: readonly Rows[],
  first = 0,
): PlanStep {
  const rows = sequences.flatMap(({ count }, s) =>
    Array.from({ length: count }, (_, i) =>
      normalNumbers(columns, { seed: 1000 * (first + s) + i, outlier: 30 }),
    ),
  )
  return {
    sequences: sequences.map(({ count, adapter }, s) => ({
      ...{ id: `s${first + s}`, start: 0, tokens: Array<number>(count).fill(1) },
      adapter: adapter?.reference,
    })),
    sampleRows: head ? lastRows(sequences).reverse() : [],
    values: { [input.id]: concatenate(rows) },
  }
}

function lastRows(sequences: readonly Rows[]): number[] {
  let end = 0
  return sequences.map(({ count }) => (end += count) - 1)
}

export function adaptersOf(sequences: readonly Rows[]): MadeAdapter[] {
  return [...new Set(sequences.flatMap(({ adapter }) => adapter ?? []))]
}

/** The product's rows as the addon computes them. */
export function run(
  made: Product,
  sequences: readonly Rows[],
  options: NativeOptions = {},
  first = 0,
) {
  const step = stepOf(made, sequences, first)
  const adapters = adaptersOf(sequences)
  return made.model.run([step], [made.out.id], { ...options, adapters })[0]!.values[made.out.id]!
}

export function ranksOf(reference: MadeAdapter['reference']) {
  return [...reference.values()].flatMap((parts) => parts.map(({ rank }) => rank))
}

export function adapter(
  made: Product,
  name: string,
  parts: readonly Partial<MadePart>[],
): MadeAdapter {
  const seed = 7 * name.charCodeAt(0)
  return makeAdapter(
    name,
    parts.map((part) => ({ weight: made.weight, rank: 8, ...part })),
    seed,
  )
}

export const SOURCES = [
  { first: 0, rows: 64 },
  { first: 64, rows: 33 },
  { first: 97, rows: 31 },
] as const
