import type { SamplingParams } from '../sampling-params.js'

/** Why an output ended. */
export type FinishReason = 'stop' | 'length' | 'abort' | 'error'

// Contract sketch; the scheduling room owns this file. See docs/contracts in the helper's brief.
export interface Sequence {
  /** Index in its group: 0 … bestOf − 1. */
  readonly index: number
  readonly group: SequenceGroup
  /** All token ids, prompt first. Only the first `length` are meaningful. */
  readonly tokens: Int32Array
  readonly length: number
  readonly promptLength: number
  readonly outputLength: number
  /** Tokens whose keys and values are in the cache. */
  readonly computed: number
  /** Physical block ids, one table a cache group; the first `blockCounts[g]` entries of each are meaningful. */
  readonly blockTables: readonly Int32Array[]
  readonly blockCounts: readonly number[]
}

export interface SequenceGroup {
  readonly requestId: string
  readonly params: SamplingParams
  /** The 64-bit seed of the request's random numbers, as two int32 halves. */
  readonly seedLow: number
  readonly seedHigh: number
  readonly sequences: readonly Sequence[]
}
