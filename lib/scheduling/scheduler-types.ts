import type { BlockManager } from './block-manager.js'
import type { CacheGroupKind } from './cache-layout.js'
import type { MemoryShares } from './memory-shares.js'
import type { SchedulingPolicy } from './policy.js'
import type { PreemptionMode } from './preemption.js'
import type { FinishReason, Sequence } from './sequence.js'
import type { SpeculationOptions } from './speculation.js'

export interface SchedulerOptions {
  /** Tokens of a block. */
  readonly blockSize: number
  /** Physical blocks, the null block included. */
  readonly numBlocks: number
  /** Groups of cache layers: each sequence has one block table in each. Default: one that keeps every token. */
  readonly cacheGroups?: readonly CacheGroupKind[]
  /** Tokens that one step computes at most. */
  readonly maxNumBatchedTokens: number
  /** Sequences that run at once at most. */
  readonly maxNumSeqs: number
  /** Rows of logits that one step may need at most (R of the plan). */
  readonly maxSamples: number
  /** Whether a prompt may be split over steps. Default true. */
  readonly enableChunkedPrefill?: boolean
  /** Whether full blocks are shared between requests with the same beginning. Default true. */
  readonly enablePrefixCaching?: boolean
  /** Share of the blocks kept free when a group is admitted. Default 0.03. */
  readonly watermark?: number
  /** Default fcfs. */
  readonly policy?: SchedulingPolicy
  /** Blocks of the host tier, its null block included; with 0 nothing is swapped. Default 0. */
  readonly hostBlocks?: number
  /** How a preempted group gets its cache back. Default auto. */
  readonly preemptionMode?: PreemptionMode
  /** What copying a block to the other tier takes, as measured; for auto. Default 0: swap. */
  readonly blockCopySeconds?: number
  /** Prompts that may be unfinished at once; they share what decodes leave of a step. Default 1. */
  readonly maxNumPartialPrefills?: number
  /**
   * Longer sequences turn the positions of all their tokens otherwise (longrope): one that grows past
   * so many tokens is computed anew. Default: none does.
   */
  readonly recomputeBeyond?: number
  /** Sequences draft tokens and verify them, several in a step. Default null: they do not. */
  readonly speculation?: SpeculationOptions | null
  /** Adapters that lie beside the model at once. Default 0. */
  readonly adapterSlots?: number
  /** Made with the same block size, blocks and cache groups. Default: a BlockManager of these options. */
  readonly blocks?: BlockManager
}

/** What commit reads of a step's result. */
export interface DrawnTokens {
  /** Compute time of the step; absent where it means nothing. */
  readonly seconds?: number
  readonly tokenIds: Int32Array
  /** The most likely tokens of row r: entries `topStarts[r] … topStarts[r+1] − 1`. Only beams need them. */
  readonly topStarts?: Int32Array
  readonly topIds?: Int32Array
  readonly topLogprobs?: Float32Array
}

/**
 * Asked about each drawn token, after it was appended: ends the sequence, or null to go on.
 * `row` is the token's sample row in the step.
 */
export type Judge = (
  sequence: Sequence,
  tokenId: number,
  row: number,
) => { readonly finishReason: FinishReason } | null

export interface SchedulerStats {
  /** Sequence groups: computed; new or to be computed again; with their blocks on the host. */
  readonly running: number
  readonly waiting: number
  readonly swapped: number
  /** Groups preempted since the start; of these swapped out, and swapped in again. */
  readonly preemptions: number
  readonly swapOuts: number
  readonly swapIns: number
  /** Physical blocks without the null block; used: owned by a sequence; cached: free but still shareable. */
  readonly totalBlocks: number
  readonly usedBlocks: number
  readonly cachedBlocks: number
  /** Used blocks that hold pinned prefixes. */
  readonly pinnedBlocks: number
  /** The same of the host's blocks. */
  readonly totalHostBlocks: number
  readonly usedHostBlocks: number
  /** Prompt tokens looked up in the prefix cache and found there, since the start. */
  readonly prefixCacheQueries: number
  readonly prefixCacheHits: number
  /** Since the start: parts of steps that verified drafts, the drafts, and the tokens that were drawn thanks to them. */
  readonly drafts: number
  readonly draftTokens: number
  readonly acceptedTokens: number
  /** Blocks copied on write, since the start. */
  readonly copies: number
  /** Names of the adapters of groups that run, and of those that wait. */
  readonly runningAdapters: readonly string[]
  readonly waitingAdapters: readonly string[]
  /** What the device's blocks are used for at present. */
  readonly memory: MemoryShares
}
