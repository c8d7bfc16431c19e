import type { Op, Plan } from '../../lib/plan/ops.js'
import type { AllGatherOp, AllReduceOp, SumSquaresOp } from '../../lib/plan/rank-ops.js'
import { Reference, type ReferenceSequence, type TensorReader } from './reference.js'
import { sum, type Row } from './reference-rows.js'

export type Collective = AllReduceOp | AllGatherOp

/** What a rank brings to a collective. */
export interface Exchange {
  readonly op: Collective
  readonly rows: Row[]
}

export function isCollective(op: Op): op is Collective {
  return op.kind === 'allReduce' || op.kind === 'allGather'
}

/** What a collective makes of the rows of all ranks. */
export function collected(op: Collective, ranks: readonly Row[][]): Row[] {
  const [first = []] = ranks
  return first.map((_, t) => {
    const rows = ranks.map((rank) => rank[t]!)
    if (op.kind === 'allGather') return Float64Array.from(rows.flatMap((row) => [...row]))
    return Float64Array.from({ length: op.out.cols }, (_, c) => sum(rows.map((row) => row[c]!)))
  })
}

export function sumSquares(op: SumSquaresOp, row: Row): Row {
  let start = 0
  const sums = op.parts.map((columns) => {
    const part = row.subarray(start, (start += columns))
    return sum(part.map((x) => x * x))
  })
  return Float64Array.from(sums)
}

/** Runs the plans of all ranks in lockstep, which meet at each collective. */
export class ReferenceRanks {
  readonly #ranks: readonly Reference[]

  constructor(plans: readonly Plan[], tensors: TensorReader) {
    this.#ranks = plans.map((plan) => new Reference(plan, tensors))
  }

  /** The logits of every token, as each rank has them. */
  logits(sequences: readonly ReferenceSequence[]): readonly Row[][] {
    const count = sum(sequences.map(({ tokens }) => tokens.length))
    const sampleRows = Array.from({ length: count }, (_, row) => row)
    const runs = this.#ranks.map((rank) => rank.steps({ sequences, sampleRows }))
    let states = runs.map((run) => run.next())
    for (;;) {
      const exchanges = states.flatMap((state) => (state.done ? [] : [state.value]))
      if (exchanges.length === 0) break
      const labels = new Set(exchanges.map(({ op }) => `${op.kind} ${op.label}`))
      if (labels.size > 1 || exchanges.length < runs.length)
        throw new Error(`ranks meet at different collectives: ${[...labels].join(', ')}`)
      const rows = exchanges.map((exchange) => exchange.rows)
      states = runs.map((run) => run.next(rows))
    }
    return states.map((state, rank) => {
      const sample = this.#ranks[rank]!.plan.ops.find((op) => op.kind === 'sample')!
      return (state.value as Map<number, Row[]>).get(sample.input.id)!
    })
  }
}
