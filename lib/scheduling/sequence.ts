import type { SamplingParams } from '../sampling-params.js'
import type { LoadableAdapter } from '../weights/loadable-adapter.js'
import type { BeamSearch } from './beam-search.js'
import { PenaltyCounts, needsPenaltyCounts } from './penalty-counts.js'

/** Why an output ended. */
export type FinishReason = 'stop' | 'length' | 'abort' | 'error'

/** Where blocks are: numbers of the wire format. */
export type Tier = 0 | 1
export const DEVICE_TIER = 0
export const HOST_TIER = 1

/** Tokens by which an output grows its array at least. */
const TOKEN_GROWTH = 64

const EMPTY = new Int32Array(0)

/**
 * One continuation of a prompt: its tokens, how far the cache holds them, and its block tables.
 * Only the classes of scheduling/ write to it.
 */
export class Sequence {
  /** All token ids, prompt first. Only the first `length` are meaningful. */
  tokens: Int32Array
  /** Tokens: the prompt's and the drawn ones. */
  length: number
  /** Tokens whose keys and values are in the cache. */
  computed = 0
  /** Drafts behind the tokens, which the step in flight verifies. */
  drafts = 0
  /** Whether the last token is still being drawn; it is then −1−r, for sample row r of the step in flight. */
  drawing = false
  /** null while the sequence waits or runs. */
  finishReason: FinishReason | null = null

  /** Where its blocks are. */
  tier: Tier = DEVICE_TIER
  /** Physical block ids, one table a cache group; the first `blockCounts[g]` of each are meaningful. */
  readonly blockTables: Int32Array[] = []
  readonly blockCounts: number[] = []
  /** Leading positions of each table that lie behind a window and hold the null block. */
  readonly windowStarts: number[] = []
  /** Tokens that the block tables have room for: `computed`, and those of the step in flight. */
  slots = 0

  /** Chained hashes of the first `hashed` full blocks, HASH_WORDS each (prefix-cache.ts). */
  hashes = EMPTY
  hashed = 0
  /** Leading blocks that were offered to the prefix cache. */
  published = 0

  #penalties: PenaltyCounts | null = null

  constructor(
    readonly group: SequenceGroup,
    /** Index in its group: 0 … bestOf − 1. */
    readonly index: number,
    /** May be shared with other sequences: it is copied before the first token is appended. */
    prompt: Int32Array,
  ) {
    this.tokens = prompt
    this.length = prompt.length
  }

  get promptLength(): number {
    return this.group.promptLength
  }

  /** Tokens drawn so far. */
  get outputLength(): number {
    return this.length - this.group.promptLength
  }

  /** Known tokens that the cache does not hold yet: 1 while decoding, more while it is filled. */
  get uncomputed(): number {
    return this.length - this.computed
  }

  get finished(): boolean {
    return this.finishReason !== null
  }

  /** Tokens to compute before the next draw; before the group has forked, those that all will share. */
  get goal(): number {
    return this.group.forked ? this.length : this.group.promptLength
  }

  /** Whether it has more to compute than one decoding step would, and its turn has come. */
  get behind(): boolean {
    const { group } = this
    if (!group.forked) return this === group.leader
    return !this.finished && this.uncomputed > 1 && this.length === group.pace
  }

  /** Counts of the tokens used so far; null when the request's parameters need none. */
  get penalties(): PenaltyCounts | null {
    if (this.#penalties === null && needsPenaltyCounts(this.group.params)) {
      this.#penalties = this.#countTokens()
    }
    return this.#penalties
  }

  /** Adds a drawn token, or puts it in the place that was kept for it. */
  append(token: number): void {
    if (this.drawing) this.length--
    this.drawing = false
    this.#push(token)
    this.#penalties?.addOutput(token)
  }

  /** Keeps a place for the token that sample row `row` of the step in flight will draw. */
  foresee(row: number): void {
    this.#push(-1 - row)
    this.drawing = true
  }

  /** Gives up the place of a token that will not be drawn. */
  forget(): void {
    if (this.drawing) this.length--
    this.drawing = false
  }

  /** Drafts so many tokens: those that stand from `from` on, drafts included where it ends in them. */
  draft(from: number, count: number): void {
    this.#reserve(count)
    for (let i = 0; i < count; i++) this.tokens[this.length + i] = this.tokens[from + i]!
    this.drafts = count
  }

  #push(token: number): void {
    this.#reserve(1)
    this.tokens[this.length++] = token
  }

  #reserve(count: number): void {
    if (this.length + count <= this.tokens.length) return
    const grown = new Int32Array(grownFrom(this.length + count))
    grown.set(this.tokens)
    this.tokens = grown
  }

  /** Takes over another sequence's tokens, to go on from there. It must own no blocks. */
  become({ tokens, length }: Sequence): void {
    if (this.tokens.length <= length) this.tokens = new Int32Array(grownFrom(length))
    this.tokens.set(tokens.subarray(0, length))
    this.length = length
    this.hashed = 0
  }

  #countTokens(): PenaltyCounts {
    const counts = new PenaltyCounts()
    const { tokens, promptLength } = this
    const first = this.group.embeds?.rows ?? 0
    for (let i = first; i < promptLength; i++) counts.addPrompt(tokens[i]!)
    for (let i = promptLength; i < this.length; i++) counts.addOutput(tokens[i]!)
    return counts
  }
}

function grownFrom(length: number): number {
  return length + Math.max(TOKEN_GROWTH, length >> 1)
}

/** Which hidden states of a prompt become its embedding: the mean of all, or the last token's. */
export type Pooling = 'mean' | 'last'

/** Vectors that stand for tokens. */
export interface EmbeddedRows {
  readonly rows: number
  readonly columns: number
  /** Row after row. */
  readonly data: Float32Array
}

export interface SequenceGroupInit {
  /** Unique among the requests that are not finished. */
  readonly requestId: string
  /** Copied, unless it is an Int32Array: then it must not change afterwards. */
  readonly promptTokenIds: ArrayLike<number>
  readonly params: SamplingParams
  readonly seedLow: number
  readonly seedHigh: number
  /** Milliseconds since the epoch; for metrics only, no decision depends on it. Default 0. */
  readonly arrivalTime?: number
  /** Tokens, prompt and output, that a sequence has at most. Default: no limit that is known ahead. */
  readonly maxLength?: number
  /** Prompts share cached blocks only under the same key, and with the same adapter. Default ''. */
  readonly cacheKey?: string
  /** Changes what the model's matrices give for its sequences. Default null. */
  readonly adapter?: LoadableAdapter | null
  /** Rows in place of the prompt's first tokens, whose ids mean nothing. Default null. */
  readonly embeds?: EmbeddedRows | null
  /** Chooses the tokens of a request that searches instead of drawing. Default null. */
  readonly beams?: BeamSearch | null
  /** Makes one row of the prompt's hidden states instead of drawing. Default null. */
  readonly pooling?: Pooling | null
}

/** Where a group is: queued (never started, or preempted, its blocks on the host), computed, or ended. */
export type GroupState = 'waiting' | 'swapped' | 'running' | 'finished'

/** The sequences of one request: admitted, preempted and resumed together. */
export class SequenceGroup {
  readonly requestId: string
  readonly params: SamplingParams
  /** The 64-bit seed of the request's random numbers, as two int32 halves. */
  readonly seedLow: number
  readonly seedHigh: number
  readonly arrivalTime: number
  readonly cacheKey: string
  readonly adapter: LoadableAdapter | null
  readonly embeds: EmbeddedRows | null
  readonly promptLength: number
  readonly maxLength: number
  /**
   * Whether a step can be scheduled before the tokens of the step before are known: a single sequence
   * whose next draw depends on them through the model alone.
   */
  readonly foreseeable: boolean
  /** null: tokens are drawn. */
  readonly beams: BeamSearch | null
  /** null: the request draws. */
  readonly pooling: Pooling | null
  /** All `bestOf` of them. Until the first draw, sequence 0 computes the prompt for all. */
  readonly sequences: readonly Sequence[]

  /** Whoever waits for it; nothing in scheduling/ looks at it. */
  owner: object | null = null
  state: GroupState = 'waiting'
  /** Whether positions turn as in long sequences (`recomputeBeyond`). */
  long = false
  /** Order of arrival, given by the scheduler. */
  arrival = 0
  /** Sequences that are not finished. */
  live: number
  /** Whether the sequences have blocks of their own, shared or not; before, only one has. */
  forked: boolean
  /** Prompt positions whose next token needs no scoring (any more): all without promptLogprobs. */
  scored: number
  /** The first position whose hidden state is (still) to be pooled; Infinity of a request that draws. */
  pooled: number
  /** The last step that a part of the group is in. */
  lastStep = -1
  /** Prompt tokens that came from the prefix cache when the group first started. */
  cachedTokens = 0
  preemptions = 0
  /** Where its adapter lies while it runs; −1: nowhere. */
  adapterSlot = -1
  /** Places in the queue that holds it, the first −1 in none (group-queue.ts). */
  queueIndex = -1
  idleIndex = -1
  /** The step since which it has drawn nothing: of its arrival, its last draw or its promotion. */
  idleSince = 0
  /** What a policy with feedback goes by (policy.ts). */
  level = 0
  allowance = 0

  constructor(init: SequenceGroupInit) {
    const { promptTokenIds: prompt, params } = init
    const tokens = prompt instanceof Int32Array ? prompt : Int32Array.from(prompt)
    this.requestId = init.requestId
    this.params = params
    this.seedLow = init.seedLow
    this.seedHigh = init.seedHigh
    this.arrivalTime = init.arrivalTime ?? 0
    this.adapter = init.adapter ?? null
    this.cacheKey = init.cacheKey ?? ''
    this.embeds = init.embeds ?? null
    this.beams = init.beams ?? null
    this.pooling = init.pooling ?? null
    this.promptLength = tokens.length
    this.sequences = Array.from({ length: params.bestOf }, (_, i) => new Sequence(this, i, tokens))
    this.live = params.bestOf
    this.forked = params.bestOf === 1
    this.maxLength = init.maxLength ?? Infinity
    this.foreseeable =
      params.bestOf === 1 &&
      this.beams === null &&
      this.pooling === null &&
      params.promptLogprobs === null &&
      params.badWords.length === 0 &&
      params.structuredOutputs === null &&
      !needsPenaltyCounts(params)
    this.scored = params.promptLogprobs === null ? tokens.length : 0
    this.pooled = { none: Infinity, mean: 0, last: tokens.length - 1 }[this.pooling ?? 'none']
  }

  /** Whether it reads more of the prompt's hidden states than the last, so that no prefix helps. */
  get readsPrompt(): boolean {
    return Math.min(this.scored, this.pooled) < this.promptLength - 1
  }

  get finished(): boolean {
    return this.state === 'finished'
  }

  /** Blocks are the same only under the same key. */
  get blockKey(): string {
    const { cacheKey, adapter, long } = this
    if (cacheKey === '' && adapter === null && !long) return ''
    return JSON.stringify([cacheKey, adapter?.identity ?? null, long])
  }

  /** The first sequence that is not finished: it computes the prompt for the others. */
  get leader(): Sequence {
    return this.sequences.find((sequence) => !sequence.finished)!
  }

  /** Tokens to draw when the prompt is computed: one for each sequence, but a search begins with one. */
  get firstDraws(): number {
    return this.beams === null ? this.sequences.length : 1
  }

  /** Whether its sequences have more to compute than one decoding step would. */
  get behind(): boolean {
    return !this.forked || this.sequences.some((sequence) => sequence.behind)
  }

  /** Length of the shortest sequence that is not finished. Only such ones draw, so all keep pace. */
  get pace(): number {
    let least = Infinity
    for (const { finished, length } of this.sequences) {
      if (!finished && length < least) least = length
    }
    return least
  }
}
