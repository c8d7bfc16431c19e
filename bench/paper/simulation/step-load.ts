import type { ScheduledStep } from '../../../lib/scheduling/scheduled-step.js'
import type { SequenceGroup } from '../../../lib/scheduling/sequence.js'

/** What a step asks of the machine: all that the cost model reads. */
export interface StepLoad {
  /** Sequences that decode one token. */
  readonly decodes: number
  /** Sequences that compute a part of their prompt, or anew what they lost. */
  readonly prefills: number
  /** Requests in the step. */
  readonly groups: number
  /** Tokens that the prefills compute, and the most of any of them. */
  readonly prefillTokens: number
  readonly longestPrefill: number
  /** Pairs of a prefill's token and one before it in the same sequence, times two. */
  readonly prefillPairs: number
  /** Cached tokens that the step's attention reads. */
  readonly contextTokens: number
  /** Blocks that come back from the host's memory. */
  readonly swappedIn: number
}

/** Adds up a step as the scheduler gave it to the executor. */
export function loadOf(step: ScheduledStep): StepLoad {
  let decodes = 0
  let prefills = 0
  let groups = 0
  let prefillTokens = 0
  let longestPrefill = 0
  let prefillPairs = 0
  let contextTokens = 0
  let last: SequenceGroup | null = null
  for (const { sequence, start, count } of step.sequences) {
    const { group } = sequence
    const end = start + count
    if (group !== last) groups++
    last = group
    if (count === 1 && start >= group.promptLength) {
      decodes++
      contextTokens += end
    } else {
      prefills++
      prefillTokens += count
      longestPrefill = Math.max(longestPrefill, count)
      prefillPairs += end * end - start * start
      contextTokens += start
    }
  }
  let swappedIn = 0
  for (const { fromTier, toTier } of step.copiesBefore) if (fromTier > toTier) swappedIn++
  return {
    decodes,
    prefills,
    groups,
    prefillTokens,
    longestPrefill,
    prefillPairs,
    contextTokens,
    swappedIn,
  }
}
