import type { SequenceGroup } from './sequence.js'

/** An order of requests. The scheduler's mechanism serves the first and preempts the last. */
export interface SchedulingPolicy {
  readonly name: string
  /** Negative when `a` goes before `b`. A total order: never 0 for two groups. */
  compare(a: SequenceGroup, b: SequenceGroup): number
}

/** First come, first served. */
export const fcfs: SchedulingPolicy = {
  name: 'fcfs',
  compare: (a, b) => a.arrival - b.arrival,
}
