import type { EngineError } from '../errors.js'
import type { PlanBuilder } from './builder.js'
import { refusal } from './checker.js'
import type { Op, Value } from './ops.js'
import { sameCut, widthsOf, type Cut } from './shares.js'

/**
 * What a rank has of a value of the whole plan: all of it, as every rank has; a part of a sum over
 * the ranks; or columns of its own.
 */
export type Layout = 'whole' | 'partial' | Cut

/** A value of a rank's plan, and what it is of the whole plan's. */
export interface Held {
  readonly value: Value
  readonly layout: Layout
}

/**
 * What a rank has of each value of the whole plan. Where a value that is a sum or lies in columns is
 * wanted whole, a collective is recorded, once a value.
 */
export class RankValues {
  readonly #held = new Map<Value, Held & { readonly label: string }>()

  constructor(
    readonly g: PlanBuilder,
    readonly ranks: number,
  ) {}

  /** Notes what the rank has of what the op with that label gives. */
  keep(value: Value, label: string, held: Held): void {
    this.#held.set(value, { ...held, label })
  }

  of(value: Value): Held & { readonly label: string } {
    return this.#held.get(value)!
  }

  /** The whole value, after a collective where the rank has less of it. */
  whole(value: Value): Value {
    const { layout, label, value: own } = this.of(value)
    if (layout === 'whole') return own
    const all = isCut(layout)
      ? this.g.allGather(`${label}.gather`, own, this.#widths(value, layout))
      : this.g.allReduce(`${label}.reduce`, own)
    this.keep(value, label, whole(all))
    return all
  }

  /** The rank's columns of a value, which must be those that the op wants, or begin or end with them. */
  columns(op: Op, value: Value, cut: Cut, where: 'all' | 'first' | 'last' = 'all'): Value {
    const { value: own, layout, label } = this.of(value)
    const found = isCut(layout)
      ? layout.map((ranges, rank) => {
          const count = cut[rank]!.length
          if (where === 'all') return ranges
          return where === 'first' ? ranges.slice(0, count) : ranges.slice(-count)
        })
      : null
    if (found && sameCut(found, cut)) return own
    throw notShared(op, this.ranks, `${label} does not give each rank its columns`)
  }

  #widths(value: Value, cut: Cut): readonly number[] {
    const widths = widthsOf(cut, value.cols)
    if (widths) return widths
    const { label } = this.of(value)
    throw refusal(`${label}: ${this.ranks} ranks have its columns in no order to gather`)
  }
}

export function whole(value: Value): Held {
  return { value, layout: 'whole' }
}

export function isCut(layout: Layout): layout is Cut {
  return typeof layout !== 'string'
}

export function notShared(op: Op, ranks: number, reason: string): EngineError {
  return refusal(`${op.kind} ${op.label}: ${ranks} ranks cannot share it, since ${reason}`)
}
