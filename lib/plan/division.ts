import { inputsOf } from './arena.js'
import { refusal } from './checker.js'
import type {
  ActivationOp,
  HeadLinearOp,
  Op,
  PagedAttentionOp,
  Plan,
  RopeStoreKvOp,
  ShortConvOp,
  StoreLatentOp,
  Value,
} from './ops.js'
import { lengthOf, scaled, shareHeads, shareOut, union } from './shares.js'
import type { Cut, HeadShare, Range } from './shares.js'
import { columnUnit } from './weight-slices.js'

/** Ops that each rank computes for its heads. */
export type HeadOp = RopeStoreKvOp | PagedAttentionOp | StoreLatentOp | HeadLinearOp

/**
 * What each rank computes of a plan: heads, columns between two products, tokens of the vocabulary.
 * Going back from the last op, it finds which columns the readers of a value want on each rank, so
 * that the product that makes the value can be divided by rows.
 */
export class Division {
  readonly #wanted = new Map<Value, Cut | null>()
  readonly #units = new Map<Value, number>()

  constructor(
    readonly plan: Plan,
    readonly ranks: number,
  ) {
    for (const op of [...plan.ops].reverse()) {
      this.#noteUnits(op)
      for (const [value, cut] of this.#reads(op)) this.#want(value, cut)
    }
  }

  /** The columns of a value that each rank wants; null: all want the whole. */
  wanted(value: Value): Cut | null {
    return this.#wanted.get(value) ?? null
  }

  headsOf(op: HeadOp): readonly HeadShare[] {
    const [heads, kvHeads] = headCounts(op)
    const shares = shareHeads(heads, kvHeads, this.ranks)
    if (!shares)
      throw refusal(`${op.kind} ${op.label}: ${this.ranks} ranks cannot share ${heads} heads`)
    return shares
  }

  /** The same of heads of so many columns each, which begin at `offset`. */
  headCut(op: HeadOp, size: number, offset = 0): Cut {
    return this.headsOf(op).map(({ heads }) => [scaled(heads, size, offset)])
  }

  /** q, k and v of the heads of each rank. */
  qkvCut(op: RopeStoreKvOp): Cut {
    const { heads, kvHeads, headDim } = op
    return this.headsOf(op).map((share) => [
      scaled(share.heads, headDim),
      scaled(share.kvHeads, headDim, heads * headDim),
      scaled(share.kvHeads, headDim, (heads + kvHeads) * headDim),
    ])
  }

  /** The columns of an activation's output, in each of its parts; null: all of them. */
  activationCut(op: ActivationOp): Cut | null {
    const columns = op.out.cols / op.parts
    const shares = shareOut(columns, this.ranks, this.#units.get(op.out))
    return shares && repeated(shares, op.parts, columns)
  }

  /** The columns of its input. */
  activationInput(op: ActivationOp): Cut | null {
    const columns = op.out.cols / op.parts
    const shares = shareOut(columns, this.ranks, this.#units.get(op.out))
    return shares && repeated(shares, op.parts * (op.gated ? 2 : 1), columns)
  }

  /** The columns of a convolution's output; its input has three times as many. */
  convolutionShares(op: ShortConvOp): readonly Range[] {
    const shares = shareOut(op.out.cols, this.ranks)
    if (shares) return shares
    throw refusal(`shortConv ${op.label}: ${this.ranks} ranks cannot share ${op.out.cols} columns`)
  }

  /** Tokens of the vocabulary, where each rank has some. */
  vocabulary(): readonly Range[] | null {
    return shareOut(this.plan.vocabSize, this.ranks)
  }

  #reads(op: Op): readonly (readonly [Value, Cut | null])[] {
    switch (op.kind) {
      case 'ropeStoreKv':
        return [[op.input, this.qkvCut(op)]]
      case 'pagedAttention':
        return [[op.input, this.headCut(op, op.headDim)]]
      case 'headLinear':
        return [[op.input, this.headCut(op, op.weights[0]?.shape[1] ?? 0)]]
      case 'storeLatent':
        return [
          [op.input, this.headCut(op, op.input.cols / op.heads)],
          [op.positions, positionsCut(this, op)],
          [op.latent, null],
        ]
      case 'activation':
        return [[op.input, this.activationInput(op)]]
      case 'shortConv':
        return [[op.input, repeated(this.convolutionShares(op), 3, op.out.cols)]]
      case 'scale':
      case 'add':
        return inputsOf(op).map((value) => [value, this.wanted(op.out)])
      case 'sample':
        return [[op.input, this.vocabulary()?.map((share) => [share]) ?? null]]
      default:
        return inputsOf(op).map((value) => [value, null])
    }
  }

  /** What one reader wants whole, all get whole. */
  #want(value: Value, cut: Cut | null): void {
    const known = this.#wanted.get(value)
    const both = known && cut ? union(known, cut) : null
    this.#wanted.set(value, known === undefined ? cut : both)
  }

  /** Columns that a product's quantised weights want together. */
  #noteUnits(op: Op): void {
    if (op.kind !== 'linear' && op.kind !== 'expertLinear') return
    const weights = op.kind === 'linear' ? [op.weight] : op.weights
    const units = [this.#units.get(op.input) ?? 1, ...weights.map(columnUnit)]
    this.#units.set(op.input, Math.max(...units))
  }
}

/** The end of each head's columns that turn with the position. */
export function positionsCut(division: Division, op: StoreLatentOp): Cut {
  const size = op.rope.dim
  return division.headCut(op, size, op.positions.cols - op.heads * size)
}

/** The same shares of parts that stand side by side, of so many columns each. */
export function repeated(shares: readonly Range[], parts: number, columns: number): Cut {
  return shares.map((share) =>
    Array.from({ length: parts }, (_, part) => scaled(share, 1, part * columns)),
  )
}

/** Query heads, and the key/value heads that they read: of latent rows, all the same one. */
function headCounts(op: HeadOp): readonly [heads: number, kvHeads: number] {
  if (op.kind === 'headLinear') return [op.weights.length, 1]
  if (op.kind === 'storeLatent') return [op.heads, 1]
  return [op.heads, op.kvHeads]
}

/** How many key/value heads the ranks keep together; null where some are kept more often than others. */
export function keptKvHeads(shares: readonly HeadShare[], kvHeads: number): number | null {
  const kept = shares.reduce((sum, share) => sum + lengthOf(share.kvHeads), 0)
  const copies = Array.from(
    { length: kvHeads },
    (_, head) =>
      shares.filter((share) => share.kvHeads.from <= head && head < share.kvHeads.to).length,
  )
  return new Set(copies).size === 1 ? kept : null
}
