import type { Sequence, SequenceGroup } from '../scheduling/sequence.js'

/** Logits to shift before a draw: `values[i]` is added to the logit of `ids[i]`; −Infinity forbids it. */
export interface LogitBias {
  readonly ids: readonly number[]
  readonly values: readonly number[]
}

/** Masks that another thread computes while the step runs, in memory that native code reads. */
export interface SharedMaskRows {
  /**
   * Asks for the mask of a sequence's next token, or for that of the one behind so many of its drafts, in
   * rising order; gives its row in the shared memory. A row behind a draft that is not allowed allows nothing.
   */
  rowOf(sequence: Sequence, drafts: number): number
}

/** The shared masks of a step: begun before its rows are asked for, sent when all are. */
export interface StepMasks {
  begin(): number
  send(): void
}

/** What the sample rows of a request say beyond its parameters; made by the engine. */
export interface DrawRules {
  /** Most likely tokens to report beside the chosen one; −1: no log-probabilities at all. */
  readonly logprobs: number
  /** One bit a token of the vocabulary, 1 where it may be drawn; null: all. */
  readonly mask: Int32Array | null
  /** A further mask for each token; null: none. */
  readonly sharedMasks: SharedMaskRows | null
  /** The sum of the prompt's hidden states so far, null: there is none. Absent: nothing is pooled. */
  readonly pooledSoFar?: () => Float32Array | null
  /** The shifts that hold for the next token of a sequence, or for the one behind so many of its drafts. */
  biases(sequence: Sequence, drafts: number): LogitBias | null
}

export type DrawRulesOf = (group: SequenceGroup) => DrawRules
