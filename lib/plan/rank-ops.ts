/** What the plan of one of several ranks has beside the ops of the whole model (shard.ts). */
import type { Value } from './operands.js'

/** Whose plan it is of how many. */
export interface Place {
  readonly rank: number
  readonly ranks: number
}

export type RankOp = SumSquaresOp | AllReduceOp | AllGatherOp

/** `out[p] = Σ x²` over part p of a row, which begins with parts of so many columns. */
export interface SumSquaresOp {
  readonly kind: 'sumSquares'
  readonly label: string
  readonly parts: readonly number[]
  readonly input: Value
  readonly out: Value
}

/** `out = Σ input` of all ranks, added in their order. */
export interface AllReduceOp {
  readonly kind: 'allReduce'
  readonly label: string
  readonly input: Value
  readonly out: Value
}

/** The inputs of all ranks side by side, the first rank's first; `columns` has each one's. */
export interface AllGatherOp {
  readonly kind: 'allGather'
  readonly label: string
  readonly columns: readonly number[]
  readonly input: Value
  readonly out: Value
}

/** What a norm over all heads takes of other ranks' heads, where a plan has some of them. */
export interface RankSums {
  /** Sums of squares `[q | k]` over the heads of all ranks. */
  readonly squares: Value
  /** How many heads the ranks have together. */
  readonly heads: number
  readonly kvHeads: number
}
