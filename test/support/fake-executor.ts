import type { Executor, StepResult } from '../../lib/native/executor.js'
import type { CacheGroupKind } from '../../lib/scheduling/cache-layout.js'
import type {
  BlockCopy,
  ScheduledSequence,
  ScheduledStep,
} from '../../lib/scheduling/scheduled-step.js'
import type { Sequence } from '../../lib/scheduling/sequence.js'
import type { LoadableAdapter } from '../../lib/weights/loadable-adapter.js'

/** What the fake model says after a history: any change of a token or of the order changes it. */
export function nextToken(
  history: Iterable<number>,
  seed: number,
  stream: number,
  vocabSize: number,
): number {
  let hash = Math.imul(seed + 1, 0x85ebca6b) ^ Math.imul(stream + 1, 0xc2b2ae35)
  for (const token of history) hash = mix(hash ^ Math.imul(token + 1, 0x9e3779b1))
  return (mix(hash) >>> 0) % vocabSize
}

/** The same of a model that often goes on as it did behind the same two tokens before, so that drafts are right. */
export function nextRepeated(
  history: readonly number[],
  seed: number,
  stream: number,
  vocabSize: number,
): number {
  const own = nextToken(history, seed, stream, 8 * vocabSize)
  return own < vocabSize ? own : nextToken(history.slice(-2), seed, 0, vocabSize)
}

/** The fake model's log-probabilities after a history, for requests that search. Ties are common. */
export function nextLogprobs(
  history: Iterable<number>,
  seed: number,
  vocabSize: number,
): Float32Array {
  const hash = nextToken(history, seed, 0, 2 ** 31)
  return Float32Array.from({ length: vocabSize }, (_, token) => {
    return -((mix(hash ^ Math.imul(token + 1, 0x9e3779b1)) >>> 0) % 64) / 8
  })
}

function mix(hash: number): number {
  const spread = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return spread ^ (spread >>> 12)
}

export interface FakeExecutorOptions {
  readonly numBlocks: number
  /** Blocks of the host tier. Default 0. */
  readonly hostBlocks?: number
  readonly blockSize: number
  readonly cacheGroups?: readonly CacheGroupKind[]
  readonly vocabSize: number
  /** Default nextToken. */
  readonly model?: (
    history: readonly number[],
    seed: number,
    stream: number,
    vocabSize: number,
  ) => number
}

interface TopToken {
  readonly id: number
  readonly logprob: number
}

const EMPTY = -1

/** What an adapter adds to each token in the cache, so that the same tokens draw other ones with it. */
export function shiftOf(adapter: LoadableAdapter | null): number {
  return adapter === null ? 0 : 1000 * adapter.identity.charCodeAt(0)
}

/**
 * An executor whose cache holds token ids instead of keys and values, and whose next token is a pure
 * function of the history that it reads through the block tables. A wrong table, a missing copy or a
 * stale cached block, or one of another adapter, changes what it draws. It refuses steps that a real device could not
 * run.
 */
export class FakeExecutor implements Executor {
  onResult: (result: StepResult) => void = () => undefined
  onAdapterFailed: Executor['onAdapterFailed'] = () => undefined
  onDead: (error: Error) => void = () => undefined
  steps = 0
  readonly #options: Required<FakeExecutorOptions>
  /** The token in each slot of each block, and the group and position that it was written for; the host's last. */
  readonly #tokens: Int32Array
  readonly #places: Int32Array
  /** What the last step drew. */
  #drawn: Int32Array = new Int32Array()
  readonly #adapters: LoadableAdapter[] = []

  constructor(options: FakeExecutorOptions) {
    const defaults = { cacheGroups: [{ kind: 'full' }], hostBlocks: 0, model: nextToken } as const
    this.#options = { ...defaults, ...options }
    const slots = (options.numBlocks + this.#options.hostBlocks) * options.blockSize
    this.#tokens = new Int32Array(slots).fill(EMPTY)
    this.#places = new Int32Array(slots).fill(EMPTY)
  }

  submit(step: ScheduledStep): void {
    const result = this.run(step)
    queueMicrotask(() => this.onResult(result))
  }

  copy(copies: readonly BlockCopy[]): Promise<void> {
    this.#copyBlocks(copies)
    return Promise.resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  /** Runs a step at once. */
  run(step: ScheduledStep): StepResult {
    this.steps++
    for (const { slot, adapter } of step.adapterLoads) this.#adapters[slot] = adapter
    this.#copyBlocks(step.copiesBefore)
    this.#checkAdapters(step)
    this.#checkWrites(step)
    for (const part of step.sequences) this.#write(part)
    const tokenIds = Int32Array.from(step.sequences.flatMap((part) => this.#sample(part)))
    const tops = step.sequences.flatMap((part) => this.#tops(part))
    if (tokenIds.length !== step.sampleCount)
      throw new Error(`step ${step.id}: ${tokenIds.length} rows, announced ${step.sampleCount}`)
    this.#copyBlocks(step.copiesAfter)
    this.#drawn = tokenIds
    const rows = tokenIds.length
    return {
      stepId: step.id,
      seconds: step.tokenCount,
      tokenIds,
      logprobs: new Float32Array(rows).fill(NaN),
      ranks: new Int32Array(rows),
      topStarts: Int32Array.from(
        { length: rows + 1 },
        (_, row) => tops.slice(0, row).flat().length,
      ),
      topIds: Int32Array.from(tops.flat(), ({ id }) => id),
      topLogprobs: Float32Array.from(tops.flat(), ({ logprob }) => logprob),
    }
  }

  /** The most likely tokens of each sample row of a part: none unless its request searches. */
  #tops(part: ScheduledSequence): readonly (readonly TopToken[])[] {
    const { sequence, scoreCount, draws } = part
    const { beams, seedLow } = sequence.group
    const none = (length: number) => Array.from({ length }, () => [])
    if (beams === null || draws === 0) return none(scoreCount + draws)
    const history = this.#history(part)
    const logprobs = nextLogprobs(history, seedLow, this.#options.vocabSize)
    const tops = Array.from(logprobs, (logprob, id) => ({ id, logprob }))
      .sort((a, b) => b.logprob - a.logprob)
      .slice(0, beams.rowSize)
    return [...none(scoreCount), tops]
  }

  /** In order, as native code does it. */
  #copyBlocks(copies: readonly BlockCopy[]): void {
    const size = this.#options.blockSize
    for (const { fromTier, from, toTier, to } of copies) {
      if (from === 0 || to === 0) throw new Error('the null block is copied')
      const [source, target] = [this.#row(fromTier, from), this.#row(toTier, to)]
      this.#tokens.copyWithin(target * size, source * size, (source + 1) * size)
      this.#places.copyWithin(target * size, source * size, (source + 1) * size)
    }
  }

  #row(tier: number, block: number): number {
    return tier === 0 ? block : this.#options.numBlocks + block
  }

  /** Each sequence finds its adapter where it looks for it, and those of one adapter stand together. */
  #checkAdapters({ sequences }: ScheduledStep): void {
    const slots = sequences.map(({ sequence: { group } }) => {
      const { adapter, adapterSlot } = group
      if (adapter !== (this.#adapters[adapterSlot] ?? null))
        throw new Error(`slot ${adapterSlot} holds another adapter than that of ${group.requestId}`)
      return adapterSlot
    })
    const runs = slots.filter((slot, i) => slot !== slots[i - 1])
    if (new Set(runs).size !== runs.length) throw new Error('rows of one adapter stand apart')
  }

  /** Nobody writes to a block that another one reads or writes. */
  #checkWrites(step: ScheduledStep): void {
    const writers = new Map<number, ScheduledSequence>()
    for (const part of step.sequences) {
      for (const block of this.#blocks(part, part.start)) {
        if (block === 0) throw new Error('the null block is written')
        if (writers.has(block)) throw new Error(`block ${block} is written twice`)
        writers.set(block, part)
      }
    }
    for (const part of step.sequences) {
      for (const block of this.#blocks(part, 0)) {
        if ((writers.get(block) ?? part) !== part)
          throw new Error(`block ${block} is read while it is written`)
      }
    }
  }

  /** The blocks of a part's tokens from `fromToken` on, in all groups. */
  #blocks({ sequence, start, count }: ScheduledSequence, fromToken: number): readonly number[] {
    const { blockSize } = this.#options
    const end = Math.ceil((start + count) / blockSize)
    return sequence.blockTables.flatMap((table, group) => {
      if (this.#kind(group).kind === 'state') return [table[0]!]
      if (end > sequence.blockCounts[group]!) throw new Error('a block table is too short')
      const first = Math.max(fromToken, this.#firstRead(group, start))
      return [...table.subarray(Math.floor(first / blockSize), end)]
    })
  }

  #kind(group: number): CacheGroupKind {
    return this.#options.cacheGroups[group]!
  }

  /** The first position of a group that the token at `position` reads. */
  #firstRead(group: number, position: number): number {
    const kind = this.#kind(group)
    return kind.kind === 'window' ? Math.max(0, position - kind.window + 1) : 0
  }

  /** A state holds a hash of all tokens before, and how many there are. */
  #writeState(table: Int32Array, group: number, { sequence, start, count }: ScheduledSequence) {
    const slot = this.#slot(table, 0)
    if (start > 0 && this.#places[slot] !== this.#place(group, start))
      throw new Error(`the state before position ${start} belongs to another position or group`)
    let state = start > 0 ? this.#tokens[slot]! : 0
    for (let position = start; position < start + count; position++) {
      state = nextState(state, this.#resolve(sequence, position))
    }
    this.#tokens[slot] = state
    this.#places[slot] = this.#place(group, start + count)
  }

  #resolve({ tokens, group }: Sequence, position: number): number {
    const token = tokens[position]!
    if (token < -this.#drawn.length) throw new Error(`the last step has no row ${-1 - token}`)
    return (token < 0 ? this.#drawn[-1 - token]! : token) + shiftOf(group.adapter)
  }

  #write(part: ScheduledSequence): void {
    const { sequence, start, count } = part
    for (const [group, table] of sequence.blockTables.entries()) {
      if (this.#kind(group).kind === 'state') {
        this.#writeState(table, group, part)
        continue
      }
      for (let position = start; position < start + count; position++) {
        const slot = this.#slot(table, position)
        this.#tokens[slot] = this.#resolve(sequence, position)
        this.#places[slot] = this.#place(group, position)
      }
    }
  }

  #place(group: number, position: number): number {
    return position * this.#options.cacheGroups.length + group
  }

  #slot(table: Int32Array, position: number): number {
    const { blockSize } = this.#options
    return table[Math.floor(position / blockSize)]! * blockSize + (position % blockSize)
  }

  #sample(part: ScheduledSequence): readonly number[] {
    const { sequence, start, count, scoreStart, scoreCount, draws, drafts } = part
    if (scoreCount > 0 && (scoreStart < start || scoreStart + scoreCount > start + count))
      throw new Error('a scored row is not in its part')
    const targets = sequence.tokens.slice(scoreStart + 1, scoreStart + scoreCount + 1)
    if (draws === 0) return [...targets]
    if (drafts > 0 && draws !== drafts + 1) throw new Error('not every draft draws')
    const { seedLow } = sequence.group
    const { model, vocabSize } = this.#options
    const history = this.#history(part)
    const drawn = Array.from({ length: draws }, (_, i) =>
      model(
        drafts === 0 ? history : history.slice(0, history.length - drafts + i),
        seedLow,
        draws === 1 || drafts > 0 ? sequence.index : i,
        vocabSize,
      ),
    )
    return [...targets, ...drawn]
  }

  /** All tokens of a part and of what is before it, as the first group that keeps them holds them. */
  #history({ sequence, start, count }: ScheduledSequence): readonly number[] {
    const tables = sequence.blockTables
    const full = this.#options.cacheGroups.findIndex(({ kind }) => kind === 'full')
    const history = this.#read(tables[full]!, full, 0, start + count)
    for (const [group, table] of tables.entries()) {
      const first = this.#firstRead(group, start)
      const found =
        this.#kind(group).kind === 'state'
          ? [this.#tokens[this.#slot(table, 0)]!]
          : this.#read(table, group, first, start + count)
      const wanted =
        this.#kind(group).kind === 'state' ? [history.reduce(nextState, 0)] : history.slice(first)
      if (found.join() !== wanted.join()) throw new Error('the cache groups hold different tokens')
    }
    return history
  }

  #read(table: Int32Array, group: number, from: number, to: number): readonly number[] {
    return Array.from({ length: to - from }, (_, i) => {
      const slot = this.#slot(table, from + i)
      if (this.#places[slot] !== this.#place(group, from + i))
        throw new Error(`the slot of position ${from + i} holds another position or group`)
      return this.#tokens[slot]!
    })
  }
}

function nextState(state: number, token: number): number {
  return mix(state ^ Math.imul(token + 1, 0x9e3779b1))
}
