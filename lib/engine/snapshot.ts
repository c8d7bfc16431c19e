import type { BlockManager } from '../scheduling/block-manager.js'
import { blockMapOf, type BlockMap } from '../scheduling/block-map.js'
import type { GroupState } from '../scheduling/sequence.js'
import type { Request } from './request.js'
import type { EngineStats } from './stats.js'

/** A request that is queued or running, as somebody who watches sees it. */
export interface RequestView {
  readonly requestId: string
  /** Its number of arrival, by which `blocks.owners` names it. */
  readonly number: number
  readonly state: GroupState
  /** The name of its adapter (LoRA); null: none. */
  readonly adapter: string | null
  readonly promptTokens: number
  /** Tokens drawn so far, of all outputs. */
  readonly generatedTokens: number
  /** The end of the first output's text. */
  readonly text: string
  /** Seconds since it arrived. */
  readonly age: number
}

/** An engine at one moment. */
export interface EngineSnapshot {
  readonly stats: EngineStats
  readonly blocks: BlockMap
  /** In the order of arrival. */
  readonly requests: readonly RequestView[]
}

export interface SnapshotOptions {
  /** Requests to show at most. Default 64. */
  readonly maxRequests?: number
  /** Characters of each text, from its end. Default 240. */
  readonly maxText?: number
}

const DEFAULTS = { maxRequests: 64, maxText: 240 }

export function snapshotOf(
  stats: EngineStats,
  blocks: BlockManager,
  requests: Iterable<Request>,
  options: SnapshotOptions,
): EngineSnapshot {
  return { stats, blocks: blockMapOf(blocks), requests: viewRequests(requests, options) }
}

/** Views of the requests that arrived first. */
function viewRequests(
  requests: Iterable<Request>,
  options: SnapshotOptions,
): readonly RequestView[] {
  const { maxRequests, maxText } = { ...DEFAULTS, ...options }
  const now = Date.now()
  const views: RequestView[] = []
  for (const { group, firstText } of requests) {
    if (views.length === maxRequests) break
    views.push({
      requestId: group.requestId,
      number: group.arrival,
      state: group.state,
      adapter: group.adapter?.name ?? null,
      promptTokens: group.promptLength,
      generatedTokens: group.sequences.reduce((sum, { outputLength }) => sum + outputLength, 0),
      text: firstText.slice(-maxText),
      age: (now - group.arrivalTime) / 1000,
    })
  }
  return views
}
