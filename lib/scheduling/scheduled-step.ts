import type { LoadableAdapter } from '../weights/loadable-adapter.js'
import type { Sequence } from './sequence.js'

/** One batched block copy: `from` of one tier to `to` of another (tier 0: device, 1: host). */
export interface BlockCopy {
  readonly group: number
  readonly fromTier: number
  readonly from: number
  readonly toTier: number
  readonly to: number
}

/** An adapter that goes into a slot, in place of the one before. */
export interface AdapterLoad {
  readonly slot: number
  readonly adapter: LoadableAdapter
}

/** The part of one sequence that a step computes: tokens `start … start + count − 1`. */
export interface ScheduledSequence {
  readonly sequence: Sequence
  readonly start: number
  readonly count: number
  /**
   * Prompt positions of this part whose next token is scored for promptLogprobs: rows
   * `scoreStart … scoreStart + scoreCount − 1` score tokens one further. They precede the draws.
   */
  readonly scoreStart: number
  readonly scoreCount: number
  /**
   * Tokens to draw from the last row: 0 while the prompt is unfinished, n on a group's first draw, else 1.
   * With drafts, one from each of their rows and one from the row before them.
   */
  readonly draws: number
  /** Of its tokens the last so many are drafts, behind those of the sequence. */
  readonly drafts: number
  /** Of its tokens the last so many are pooled: they become part of the prompt's embedding. */
  readonly pools: number
}

/**
 * What one step computes, as the scheduler decided it. Sample rows are in the order of `sequences`:
 * for each, its scored prompt positions, then its draws. Sequences of one adapter stand together.
 */
export interface ScheduledStep {
  readonly id: number
  readonly sequences: readonly ScheduledSequence[]
  /** Totals over `sequences`. */
  readonly tokenCount: number
  readonly sampleCount: number
  /**
   * Copies to do, in this order, before the step's ops and after them. Copies on write and swaps are
   * all done before: what was swapped out is read before the block's next owner writes to it.
   */
  readonly copiesBefore: readonly BlockCopy[]
  readonly copiesAfter: readonly BlockCopy[]
  /** Adapters to load, in this order, before all of it. */
  readonly adapterLoads: readonly AdapterLoad[]
}
