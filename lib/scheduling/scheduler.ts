import { AdapterSlots } from './adapter-slots.js'
import { advanceBeams, nextTokensOf } from './beam-step.js'
import { BlockManager } from './block-manager.js'
import { checkGroups } from './check-groups.js'
import { blocksOfGroup } from './group-memory.js'
import { GroupQueue } from './group-queue.js'
import { memoryShares } from './memory-shares.js'
import { leastBlocks, PinnedPrefixes } from './pinned-prefixes.js'
import { fcfs } from './policy.js'
import { Preemption } from './preemption.js'
import { RunningGroups } from './running-groups.js'
import type { ScheduledSequence, ScheduledStep } from './scheduled-step.js'
import type { DrawnTokens, Judge, SchedulerOptions, SchedulerStats } from './scheduler-types.js'
import type { FinishReason, Sequence, SequenceGroup } from './sequence.js'
import { Speculation } from './speculation.js'
import { StepBuilder } from './step-builder.js'

export type { DrawnTokens, Judge, SchedulerOptions, SchedulerStats } from './scheduler-types.js'

const defaults = {
  cacheGroups: [{ kind: 'full' }],
  enableChunkedPrefill: true,
  enablePrefixCaching: true,
  watermark: 0.03,
  policy: fcfs,
  hostBlocks: 0,
  preemptionMode: 'auto',
  blockCopySeconds: 0,
  maxNumPartialPrefills: 1,
  recomputeBeyond: Infinity,
  speculation: null,
  adapterSlots: 0,
} as const

/**
 * Decides what each step computes. `schedule`, let an executor run the step, `commit`, repeat.
 *
 * A step serves, within one budget of tokens and one of sample rows: first the sequences that decode,
 * then prompts that are not finished, then groups that wait, in the policy's order: under `fcfs` the
 * preempted ones and then new ones. When a decoding sequence lacks a block, the last running group in
 * the policy's order gives way: its blocks are swapped out to the host, or given back to be computed
 * again from its tokens. Running groups also give way to those that wait though they go before them.
 *
 * Three rules keep anything from waiting for ever:
 * 1. No more sequences run than each budget has room for, so every decoding one is served each step.
 * 2. Nobody is overtaken: the first group that finds no room ends the step's prefills and admissions.
 * 3. A group alone in the pool can always go on: when the next tokens of all its sequences would not
 *    fit a pool of their own, its last sequences end with 'length'. Its sequences draw in pace with
 *    each other, so this point depends on their lengths alone, not on what else is running.
 */
export class Scheduler {
  readonly blocks: BlockManager
  readonly adapters: AdapterSlots
  readonly #pinned: PinnedPrefixes
  readonly #options: Required<Omit<SchedulerOptions, 'blocks'>>
  readonly #sequenceLimit: number

  readonly #groups = new Map<string, SequenceGroup>()
  readonly #running: RunningGroups
  readonly #queue: GroupQueue
  readonly #preemption: Preemption
  readonly #speculation: Speculation | null
  readonly #builder: StepBuilder
  /** Steps that are not committed, the older first: two at most. */
  readonly #inFlight: ScheduledStep[] = []
  /** The step in flight that a further one was built on. */
  #foreseen: ScheduledStep | null = null

  #steps = 0
  #arrivals = 0

  constructor(options: SchedulerOptions) {
    this.#options = { ...defaults, ...options }
    this.blocks = options.blocks ?? new BlockManager(this.#options)
    this.adapters = new AdapterSlots(this.#options.adapterSlots)
    this.#pinned = new PinnedPrefixes(this.blocks)
    const { policy, maxNumSeqs, maxNumBatchedTokens, maxSamples } = this.#options
    const { preemptionMode, blockCopySeconds, speculation, recomputeBeyond } = this.#options
    this.#sequenceLimit = Math.min(maxNumSeqs, maxNumBatchedTokens, maxSamples)
    this.#running = new RunningGroups(policy)
    this.#queue = new GroupQueue(policy)
    this.#preemption = new Preemption(this.blocks, preemptionMode, blockCopySeconds)
    this.#speculation =
      speculation &&
      new Speculation({
        ...{ options: speculation, blocks: this.blocks, recomputeBeyond },
        fits: (group, length) => this.#fits(group, length),
      })
    this.#builder = new StepBuilder({
      options: this.#options,
      sequenceLimit: this.#sequenceLimit,
      blocks: this.blocks,
      running: this.#running,
      queue: this.#queue,
      preemption: this.#preemption,
      adapters: this.adapters,
      speculation: this.#speculation,
    })
  }

  /** Whether a group waits or runs. */
  get hasWork(): boolean {
    return this.#groups.size > 0
  }

  get stats(): SchedulerStats {
    const { pool, host, copied } = this.blocks
    const { count, swapOuts, swapIns } = this.#preemption
    return {
      running: this.#running.size,
      waiting: this.#queue.size - this.#queue.swapped,
      swapped: this.#queue.swapped,
      preemptions: count,
      swapOuts,
      swapIns,
      totalBlocks: pool.capacity,
      usedBlocks: pool.used,
      cachedBlocks: pool.cached,
      pinnedBlocks: this.#pinned.blocks,
      totalHostBlocks: host.capacity,
      usedHostBlocks: host.used,
      prefixCacheQueries: this.#builder.cacheQueries,
      prefixCacheHits: this.#builder.cacheHits,
      drafts: this.#speculation?.parts ?? 0,
      draftTokens: this.#speculation?.draftTokens ?? 0,
      acceptedTokens: this.#speculation?.acceptedTokens ?? 0,
      copies: copied,
      runningAdapters: [...new Set(this.adapters.running.map(({ name }) => name))],
      waitingAdapters: this.#waitingAdapters,
      memory: memoryShares(this.blocks),
    }
  }

  /**
   * Whether a request can be served with nothing else running: its sequences fit the step's budgets,
   * its prompt and (where more than one is wanted) a first token fit the pool.
   */
  canEverFit(promptLength: number, maxTokens: number | null, bestOf: number): boolean {
    const tokens = promptLength + (maxTokens === 1 ? 0 : 1)
    return (
      bestOf <= this.#sequenceLimit &&
      blocksOfGroup(this.blocks, promptLength, tokens, 1) <= this.#capacity
    )
  }

  /**
   * Queues a group. Throws RangeError when it can never fit, Error when its id is in use or it was
   * queued before.
   */
  add(group: SequenceGroup): void {
    const { requestId, promptLength, params, state } = group
    if (this.#groups.has(requestId) || state !== 'waiting')
      throw new Error(`request ${requestId} is already queued, running or finished`)
    if (!this.canEverFit(promptLength, params.maxTokens, params.bestOf))
      throw new RangeError(
        `request ${requestId} can never run: ${params.bestOf} sequences of ${promptLength} prompt ` +
          `tokens and a first drawn one, where ${this.#sequenceLimit} sequences and ` +
          `${this.blocks.layout.capacityOf(this.#capacity)} tokens fit`,
      )
    if (!this.#pinned.leaveRoomFor(group, leastBlocks(this.blocks, group)))
      throw new RangeError(
        `request ${requestId} cannot run beside ${this.#pinned.blocks} pinned blocks of ${this.#capacity}`,
      )
    group.arrival = this.#arrivals++
    group.long = promptLength > this.#options.recomputeBeyond
    this.#options.policy.feedback?.arrive(group)
    this.#groups.set(requestId, group)
    group.idleSince = this.#steps
    this.#queue.add(group)
  }

  /**
   * Whether the next step can be scheduled before the one in flight is committed: not where it verifies
   * drafts or the next one may, which are made of the last token.
   */
  get canScheduleAhead(): boolean {
    const [step] = this.#inFlight
    return (
      step !== undefined &&
      this.#inFlight.length === 1 &&
      this.#foreseen === null &&
      !this.#speculation?.hasRoomBeside(this.#running.sequences) &&
      step.sequences.every(({ sequence, drafts }) => drafts === 0 && sequence.group.foreseeable)
    )
  }

  /**
   * The next step, or null when there is nothing to compute. While a step is in flight, the next one
   * is built on the tokens that it will draw; throws where that cannot be (`canScheduleAhead`).
   */
  schedule(): ScheduledStep | null {
    if (this.canScheduleAhead) this.#foresee(this.#inFlight[0]!)
    else if (this.#inFlight.length > 0) throw new Error('schedule: the last step is not committed')
    const draft = this.#builder.build(this.#steps)
    if (draft.size === 0) return null
    this.#steps++
    const step = draft.finish(this.blocks.takeCopies(), this.adapters.takeLoads())
    this.#inFlight.push(step)
    return step
  }

  /**
   * Takes in what a step drew. Afterwards every sequence of the step that ended has its
   * `finishReason`: from `judge`, or 'length' when the pool cannot hold one more of its tokens.
   * What was drawn for requests that ended meanwhile is dropped. Steps are committed in their order.
   */
  commit(step: ScheduledStep, result: DrawnTokens, judge: Judge): void {
    if (step !== this.#inFlight[0]) throw new Error(`commit: step ${step.id} is not the next one`)
    this.#inFlight.shift()
    let row = 0
    const drawn = step.sequences.map((part) => {
      const first = row + part.scoreCount
      row = first + part.draws
      return part.sequence.finished ? 0 : this.#commitPart(part, result, first, judge)
    })
    let ended = false
    for (const { sequence } of step.sequences) {
      if (!sequence.group.finished) this.#moveOn(sequence.group)
      ended ||= sequence.group.finished
    }
    if (ended) this.#running.dropFinished()
    if (step === this.#foreseen) this.#foreseen = null
    this.#countService(step, drawn)
    if (result.seconds !== undefined && step.copiesBefore.length === 0)
      this.#preemption.tokenCost.learn(step.tokenCount, result.seconds)
  }

  /** Ends a request in any state and frees what it holds. False when there is no such request. */
  abort(requestId: string): boolean {
    const group = this.#groups.get(requestId)
    if (group === undefined) return false
    this.#end(group, 'abort')
    this.#running.dropFinished()
    return true
  }

  /** Forgets all cached blocks but the pinned ones. */
  resetPrefixCache(): void {
    this.blocks.resetPrefixCache()
    this.#pinned.publish()
  }

  /**
   * Keeps the full blocks that the cache holds of a finished request's prompt until it is unpinned;
   * gives their tokens. null, and nothing is pinned, when another request could then never go on.
   */
  pin(group: SequenceGroup): number | null {
    return this.#pinned.pin(group, this.#groups.values())
  }

  /** Lets a prefix be evicted again. Harmless a second time. */
  unpin(group: SequenceGroup): void {
    this.#pinned.release(group.sequences[0]!)
  }

  /** Throws an Error that names the first broken invariant. */
  checkIntegrity(): void {
    this.blocks.checkIntegrity()
    checkGroups({
      groups: this.#groups.values(),
      running: this.#running,
      queue: this.#queue,
      blocks: this.blocks,
      pinned: this.#pinned,
    })
    this.adapters.checkIntegrity(this.#running)
    if (this.#running.sequences > this.#sequenceLimit)
      throw new Error(`${this.#running.sequences} sequences run, ${this.#sequenceLimit} may`)
  }

  get #waitingAdapters(): readonly string[] {
    if (this.#options.adapterSlots === 0) return []
    const names = [...this.#groups.values()].flatMap(({ state, adapter }) =>
      adapter && state !== 'running' ? adapter.name : [],
    )
    return [...new Set(names)]
  }

  /** Blocks in the whole pool. */
  get #capacity(): number {
    return this.blocks.pool.capacity
  }

  /** Moves the sequences of a step on as if it were computed, with places for the tokens that it draws. */
  #foresee(step: ScheduledStep): void {
    this.#foreseen = step
    let row = 0
    for (const { sequence, start, count, draws } of step.sequences) {
      if (!sequence.finished) {
        sequence.computed = start + count
        // The next step may need what lies behind windows now. Steps run in order, so that it is free.
        if (this.blocks.layout.windows.length > 0) this.blocks.publish(sequence)
        if (draws > 0) sequence.foresee(row)
        this.#keepPositions(sequence.group)
      }
      row += draws
    }
  }

  /** Gives the number of tokens that the part has drawn, of which drafts that were wrong are none. */
  #commitPart(part: ScheduledSequence, result: DrawnTokens, row: number, judge: Judge): number {
    const { sequence } = part
    const { group } = sequence
    const draws = this.#takeBack(part, result, row)
    if (group.state === 'running') this.blocks.publish(sequence)
    group.scored = part.scoreStart + part.scoreCount
    group.pooled = Math.max(group.pooled, part.start + part.count)
    if (group.pooling !== null && sequence.computed === group.promptLength)
      this.#finish(sequence, 'stop')
    if (!group.forked && sequence.computed === group.promptLength) this.#fork(sequence)
    if (group.beams !== null) {
      if (draws > 0) group.beams.offer(sequence.index, nextTokensOf(result, row))
      return draws
    }
    let appended = 0
    for (let i = 0; i < draws; i++) {
      const drawn = part.drafts > 0 || draws === 1 ? sequence : group.sequences[i]!
      if (drawn.finished) continue
      appended++
      const token = result.tokenIds[row + i]!
      drawn.append(token)
      const verdict = judge(drawn, token, row + i)
      if (verdict !== null) this.#finish(drawn, verdict.finishReason)
    }
    if (part.drafts > 0) this.#speculation!.acceptedTokens += appended - 1
    return appended
  }

  /** Moves a sequence on as far as it was computed rightly, and gives the draws that count. */
  #takeBack(part: ScheduledSequence, { tokenIds }: DrawnTokens, row: number): number {
    const { sequence, start, count, draws, drafts } = part
    const wrong = drafts === 0 ? 0 : drafts - this.#speculation!.accept(part, tokenIds, row)
    // Of a step that was foreseen, a sequence may have been preempted since.
    if (!this.#foreseen) sequence.computed = start + count - wrong
    if (wrong > 0) this.blocks.truncate(sequence, sequence.computed)
    return draws - wrong
  }

  /** The prompt is computed: lets the other sequences share its blocks. */
  #fork(leader: Sequence): void {
    const { group } = leader
    group.forked = true
    for (const sequence of group.sequences) {
      if (sequence !== leader && !sequence.finished) this.blocks.fork(leader, sequence)
    }
  }

  /** Prepares a group for its next step, or ends it. */
  #moveOn(group: SequenceGroup): void {
    if (group.beams !== null && !advanceBeams(this.blocks, group)) this.#end(group, 'stop')
    else this.#keepWithinPool(group)
    if (!group.finished) this.#keepPositions(group)
  }

  /** Has a group computed anew that has grown past the length from which on positions turn otherwise. */
  #keepPositions(group: SequenceGroup): void {
    if (group.long || group.pace <= this.#options.recomputeBeyond) return
    const waits = this.#queue.has(group)
    if (waits) this.#queue.remove(group)
    group.long = true
    this.#preemption.restart(group)
    for (const sequence of group.sequences) sequence.hashed = 0
    if (!waits) return
    group.state = 'waiting'
    this.#queue.add(group)
  }

  /** Rule 3. A search ends as a whole. */
  #keepWithinPool(group: SequenceGroup): void {
    const { pace, forked, sequences } = group
    if (!forked) return
    while (group.live > 0) {
      if (this.#fits(group, pace)) return
      if (group.beams !== null) this.#end(group, 'length')
      else
        this.#finish(
          sequences.findLast((sequence) => !sequence.finished)!,
          'length',
        )
    }
  }

  /** Whether a group whose sequences have so many tokens each can go on, alone in the pool. */
  #fits(group: SequenceGroup, length: number): boolean {
    const needed = blocksOfGroup(this.blocks, group.promptLength, length, group.live)
    return this.#pinned.leaveRoomFor(group, needed)
  }

  #end(group: SequenceGroup, reason: FinishReason): void {
    for (const sequence of group.sequences) this.#finish(sequence, reason)
  }

  #finish(sequence: Sequence, reason: FinishReason): void {
    if (sequence.finished) return
    const { group } = sequence
    sequence.finishReason = reason
    sequence.forget()
    this.blocks.free(sequence)
    if (group.state === 'running') this.#running.sequences--
    if (--group.live > 0) return
    if (this.#queue.has(group)) this.#queue.remove(group)
    this.adapters.give(group)
    group.state = 'finished'
    this.#groups.delete(group.requestId)
  }

  /** Tells the policy what a step has drawn for whom. */
  #countService({ id, sequences }: ScheduledStep, drawn: readonly number[]): void {
    const { feedback } = this.#options.policy
    if (feedback === undefined) return
    let moved = false
    for (const [i, { sequence }] of sequences.entries()) {
      if (drawn[i] === 0 || sequence.group.finished) continue
      sequence.group.idleSince = id + 1
      if (feedback.serve(sequence.group, drawn[i]!)) moved = true
    }
    if (moved) this.#running.sort()
  }
}
