import { checkInteger } from '../check.js'
import type { SequenceGroup } from './sequence.js'

/** An order of requests. The scheduler's mechanism serves the first and preempts the last. */
export interface SchedulingPolicy {
  readonly name: string
  /** Negative when `a` goes before `b`. A total order: never 0 for two groups. */
  compare(a: SequenceGroup, b: SequenceGroup): number
  /** Of a policy whose order changes while groups are served and wait. Default: it does not. */
  readonly feedback?: PolicyFeedback
}

/** What moves groups up and down an order; it keeps its notes in `level` and `allowance` of a group. */
export interface PolicyFeedback {
  /** A group has arrived. */
  arrive(group: SequenceGroup): void
  /** A running group has drawn so many tokens. Returns whether that changes its place. */
  serve(group: SequenceGroup, tokens: number): boolean
  /** Steps, at least 1, that a group draws nothing before it is promoted. */
  readonly patience: number
  /** Tokens, at least 1, that a promoted group may draw before it sinks. */
  readonly quantum: number
  /** Moves a waiting group to the front. Returns whether it was not there already. */
  promote(group: SequenceGroup): boolean
}

/** First come, first served. */
export const fcfs: SchedulingPolicy = {
  name: 'fcfs',
  compare: (a, b) => a.arrival - b.arrival,
}

/** The lowest `priority` of the sampling parameters first, then first come, first served. */
export const priority: SchedulingPolicy = {
  name: 'priority',
  compare: (a, b) => a.params.priority - b.params.priority || a.arrival - b.arrival,
}

export interface MlfqOptions {
  /** Tokens, at least 1, that a group is served on the first level; twice as many on each level below. Default 64. */
  readonly quantum?: number
  /** Steps, at least 1, that a group draws nothing before it is promoted to the first level. Default 500. */
  readonly patience?: number
}

/**
 * Many levels, each with a quantum twice the one above: FastServe's skip-join multi-level feedback
 * queue, in tokens instead of seconds, so that the same traffic is always served in the same order.
 * A group joins the first level whose quantum holds its prompt, which counts as served. When it has
 * used up the quantum it sinks a level: short requests go before long ones, though nobody knows how
 * long an output will be. Whoever waits too long starts again on the first level, so nobody starves.
 *
 * @throws RangeError for a quantum or patience that is no integer of at least 1.
 */
export function mlfq(options: MlfqOptions = {}): SchedulingPolicy {
  const quantum = checkInteger('quantum', options.quantum ?? 64, { min: 1 })
  const patience = checkInteger('patience', options.patience ?? 500, { min: 1 })
  const enter = (group: SequenceGroup, level: number, served: number) => {
    group.level = level
    group.allowance = quantum * 2 ** level - served
  }
  return {
    name: 'mlfq',
    compare: (a, b) => a.level - b.level || a.arrival - b.arrival,
    feedback: {
      patience,
      quantum,
      arrive(group) {
        const { promptLength } = group
        enter(group, Math.max(0, Math.ceil(Math.log2(promptLength / quantum))), promptLength)
      },
      serve(group, tokens) {
        group.allowance -= tokens
        if (group.allowance > 0) return false
        enter(group, group.level + 1, 0)
        return true
      },
      promote(group) {
        if (group.level === 0) return false
        enter(group, 0, 0)
        return true
      },
    },
  }
}
