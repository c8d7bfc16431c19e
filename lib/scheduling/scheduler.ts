import { advanceBeams, nextTokensOf } from './beam-step.js'
import { BlockManager } from './block-manager.js'
import { blocksOfGroup, blocksOwedTo } from './group-memory.js'
import { GroupQueue } from './group-queue.js'
import { fcfs } from './policy.js'
import { noMatch, type PrefixMatch } from './prefix-cache.js'
import type { ScheduledSequence, ScheduledStep } from './scheduled-step.js'
import type { DrawnTokens, Judge, SchedulerOptions, SchedulerStats } from './scheduler-types.js'
import type { FinishReason, Sequence, SequenceGroup } from './sequence.js'
import { StepDraft } from './step-draft.js'

export type { DrawnTokens, Judge, SchedulerOptions, SchedulerStats } from './scheduler-types.js'

const defaults = {
  cacheGroups: 1,
  enableChunkedPrefill: true,
  enablePrefixCaching: true,
  watermark: 0.01,
  policy: fcfs,
}

/**
 * Decides what each step computes. `schedule`, let an executor run the step, `commit`, repeat.
 *
 * A step serves, within one budget of tokens and one of sample rows: first the sequences that decode,
 * then prompts that are not finished, then preempted groups, then new ones. When a decoding sequence
 * lacks a block, the last running group in the policy's order gives all of its blocks back, keeps its
 * tokens and waits to be computed again, in front of every new request.
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
  readonly #options: Required<Omit<SchedulerOptions, 'blocks'>>
  readonly #sequenceLimit: number
  readonly #reserve: number

  readonly #groups = new Map<string, SequenceGroup>()
  /** In the policy's order. */
  readonly #running: SequenceGroup[] = []
  readonly #preempted: GroupQueue
  readonly #waiting: GroupQueue
  #runningSequences = 0
  #inFlight: ScheduledStep | null = null

  #steps = 0
  #arrivals = 0
  #preemptions = 0
  #cacheQueries = 0
  #cacheHits = 0

  constructor(options: SchedulerOptions) {
    this.#options = { ...defaults, ...options }
    this.blocks = options.blocks ?? new BlockManager(this.#options)
    const { policy, watermark, maxNumSeqs, maxNumBatchedTokens, maxSamples } = this.#options
    this.#sequenceLimit = Math.min(maxNumSeqs, maxNumBatchedTokens, maxSamples)
    this.#reserve = Math.floor(watermark * this.blocks.pool.capacity)
    this.#preempted = new GroupQueue(policy)
    this.#waiting = new GroupQueue(policy)
  }

  /** Whether a group waits or runs. */
  get hasWork(): boolean {
    return this.#groups.size > 0
  }

  get stats(): SchedulerStats {
    const { pool, copied } = this.blocks
    return {
      running: this.#running.length,
      waiting: this.#waiting.size + this.#preempted.size,
      preemptions: this.#preemptions,
      totalBlocks: pool.capacity,
      usedBlocks: pool.used,
      cachedBlocks: pool.cached,
      prefixCacheQueries: this.#cacheQueries,
      prefixCacheHits: this.#cacheHits,
      copies: copied,
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
          `${this.#capacity * this.blocks.blockSize} tokens fit`,
      )
    group.arrival = this.#arrivals++
    this.#groups.set(requestId, group)
    this.#waiting.add(group)
  }

  /** The next step, or null when nothing waits or runs. Throws while a step is not committed. */
  schedule(): ScheduledStep | null {
    if (this.#inFlight !== null) throw new Error('schedule: the last step is not committed')
    const { maxNumBatchedTokens, maxSamples } = this.#options
    const draft = new StepDraft(this.#steps, maxNumBatchedTokens, maxSamples)
    this.#decode(draft)
    const owed = this.#continuePrefills(draft)
    if (owed !== null) this.#admit(draft, owed)
    if (draft.size === 0) return null
    this.#steps++
    return (this.#inFlight = draft.finish(this.blocks.takeCopies()))
  }

  /**
   * Takes in what a step drew. Afterwards every sequence of the step that ended has its
   * `finishReason`: from `judge`, or 'length' when the pool cannot hold one more of its tokens.
   * What was drawn for requests that were aborted meanwhile is dropped.
   */
  commit(step: ScheduledStep, result: DrawnTokens, judge: Judge): void {
    if (step !== this.#inFlight) throw new Error(`commit: step ${step.id} is not in flight`)
    this.#inFlight = null
    let row = 0
    for (const part of step.sequences) {
      row += part.scoreCount
      if (!part.sequence.finished) this.#commitPart(part, result, row, judge)
      row += part.draws
    }
    let ended = false
    for (const { sequence } of step.sequences) {
      if (!sequence.group.finished) this.#moveOn(sequence.group)
      ended ||= sequence.group.finished
    }
    if (ended) this.#dropFinished()
  }

  /** Ends a request in any state and frees what it holds. False when there is no such request. */
  abort(requestId: string): boolean {
    const group = this.#groups.get(requestId)
    if (group === undefined) return false
    if (this.#waiting.has(group)) this.#waiting.remove(group)
    if (this.#preempted.has(group)) this.#preempted.remove(group)
    this.#end(group, 'abort')
    this.#dropFinished()
    return true
  }

  /** Forgets all cached blocks. */
  resetPrefixCache(): void {
    this.blocks.resetPrefixCache()
  }

  /** Throws an Error that names the first broken invariant. */
  checkIntegrity(): void {
    this.blocks.checkIntegrity()
    let sequences = 0
    let holders = 0
    for (const group of this.#groups.values()) {
      const { requestId, state, live } = group
      const places =
        Number(this.#running.includes(group)) +
        Number(this.#waiting.has(group)) +
        Number(this.#preempted.has(group))
      if (places !== 1 || (state === 'running') !== this.#running.includes(group))
        throw new Error(`request ${requestId} is ${state}, found in ${places} places`)
      const unfinished = group.sequences.filter((sequence) => !sequence.finished)
      if (unfinished.length !== live)
        throw new Error(`request ${requestId} counts ${live} sequences, has ${unfinished.length}`)
      if (state === 'running') sequences += live
      for (const sequence of group.sequences) {
        if (!this.blocks.holders.has(sequence)) continue
        if (state !== 'running' || sequence.finished)
          throw new Error(
            `request ${requestId} is ${state}, but sequence ${sequence.index} owns blocks`,
          )
        holders++
      }
    }
    if (sequences !== this.#runningSequences || sequences > this.#sequenceLimit)
      throw new Error(`${sequences} sequences run, counted as ${this.#runningSequences}`)
    if (holders !== this.blocks.holders.size)
      throw new Error(`${this.blocks.holders.size} sequences own blocks, ${holders} of them run`)
  }

  /** Blocks in the whole pool. */
  get #capacity(): number {
    return this.blocks.pool.capacity
  }

  #decode(draft: StepDraft): void {
    for (const group of this.#running) {
      const parts = draft.size
      const copies = this.blocks.pendingCopies
      if (this.#decodeGroup(group, draft)) continue
      draft.dropFrom(parts)
      this.blocks.dropCopies(copies)
    }
  }

  /** False when no other group was left to preempt, so that this one was. */
  #decodeGroup(group: SequenceGroup, draft: StepDraft): boolean {
    if (!group.forked) return true
    const { pace } = group
    for (const sequence of group.sequences) {
      if (sequence.finished || sequence.uncomputed !== 1 || sequence.length !== pace) continue
      while (!this.blocks.append(sequence, sequence.length)) {
        if (this.#preemptLast() === group) return false
      }
      draft.add(draft.part(sequence, sequence.computed, 1)!)
      group.lastStep = draft.id
    }
    return true
  }

  /** The blocks that running prefills will still need; null when one of them found no room. */
  #continuePrefills(draft: StepDraft): number | null {
    let owed = 0
    for (const group of this.#running) {
      if (!group.behind) continue
      for (const sequence of group.forked ? group.sequences : [group.leader]) {
        if (sequence.behind && !this.#prefill(sequence, draft)) return null
      }
      owed += blocksOwedTo(this.blocks, group)
    }
    return owed
  }

  #prefill(sequence: Sequence, draft: StepDraft): boolean {
    const { group, computed } = sequence
    let part = draft.part(sequence, computed, this.#chunkLimit(sequence, computed, draft))
    while (part !== null && !this.blocks.append(sequence, part.start + part.count)) {
      if (this.#preemptBehind(group, draft)) continue
      const room = this.#options.enableChunkedPrefill ? this.blocks.room(sequence) : 0
      part = draft.part(sequence, computed, Math.min(room, part.count))
    }
    if (part === null) return false
    draft.add(part)
    group.lastStep = draft.id
    return true
  }

  /** Without chunked prefill, all the rest or nothing; but alone in a step, as much as it takes. */
  #chunkLimit(sequence: Sequence, start: number, draft: StepDraft): number {
    const whole = !this.#options.enableChunkedPrefill && draft.size > 0
    return whole && sequence.goal - start > draft.tokensLeft ? 0 : draft.tokensLeft
  }

  #admit(draft: StepDraft, owedByRunning: number): void {
    let owed = owedByRunning
    for (;;) {
      const queue = this.#preempted.size > 0 ? this.#preempted : this.#waiting
      const group = queue.first
      if (group === undefined || draft.tokensLeft === 0) return
      if (this.#runningSequences + group.live > this.#sequenceLimit) return
      if (!this.#start(group, draft, owed)) return
      queue.remove(group)
      this.#enlist(group)
      owed += blocksOwedTo(this.blocks, group)
    }
  }

  /** Adds a group's first part to the step. False when its tokens do not fit the free blocks or the step. */
  #start(group: SequenceGroup, draft: StepDraft, owed: number): boolean {
    const sequence = group.leader
    const match = this.#match(sequence)
    const needed =
      blocksOfGroup(this.blocks, group.promptLength, group.pace, group.live) - match.owned
    const spare = this.blocks.pool.available - owed - needed
    if (spare < this.#reserve && this.#running.length > 0) return false
    const start = match.blocks * this.blocks.blockSize
    const part = draft.part(sequence, start, this.#chunkLimit(sequence, start, draft))
    if (part === null) return false
    if (!this.blocks.allocate(sequence, start + part.count, match.blocks)) return false
    draft.add(part)
    group.lastStep = draft.id
    if (group.preemptions === 0) this.#countMatch(group, start)
    return true
  }

  #countMatch(group: SequenceGroup, cachedTokens: number): void {
    group.cachedTokens = cachedTokens
    if (!this.#options.enablePrefixCaching || group.params.promptLogprobs !== null) return
    this.#cacheQueries += group.promptLength
    this.#cacheHits += cachedTokens
  }

  /** A request that wants all its prompt scored computes all of it; others leave one token for a draw. */
  #match(sequence: Sequence): PrefixMatch {
    const { group } = sequence
    if (group.scored < group.promptLength - 1) return noMatch
    return this.blocks.match(sequence, sequence.goal - 1)
  }

  /** Puts a group that was started among the running ones. */
  #enlist(group: SequenceGroup): void {
    const { policy } = this.#options
    group.state = 'running'
    this.#runningSequences += group.live
    let at = this.#running.length
    while (at > 0 && policy.compare(group, this.#running[at - 1]!) < 0) at--
    this.#running.splice(at, 0, group)
  }

  /** Preempts the last running group unless it is `group` or has a part in the step. */
  #preemptBehind(group: SequenceGroup, draft: StepDraft): boolean {
    const last = this.#running.at(-1)!
    if (last === group || last.lastStep === draft.id) return false
    this.#preemptLast()
    return true
  }

  #preemptLast(): SequenceGroup {
    const group = this.#running.pop()!
    for (const sequence of group.sequences) this.blocks.free(sequence)
    group.state = 'waiting'
    group.forked = group.live === 1
    group.preemptions++
    this.#preemptions++
    this.#runningSequences -= group.live
    this.#preempted.add(group)
    return group
  }

  #commitPart(part: ScheduledSequence, result: DrawnTokens, row: number, judge: Judge): void {
    const { sequence, draws } = part
    const { group } = sequence
    sequence.computed = part.start + part.count
    this.blocks.publish(sequence)
    group.scored = part.scoreStart + part.scoreCount
    if (!group.forked && sequence.computed === group.promptLength) this.#fork(sequence)
    if (group.beams !== null) {
      if (draws > 0) group.beams.offer(sequence.index, nextTokensOf(result, row))
      return
    }
    for (let i = 0; i < draws; i++) {
      const drawn = draws === 1 ? sequence : group.sequences[i]!
      if (drawn.finished) continue
      const token = result.tokenIds[row + i]!
      drawn.append(token)
      const verdict = judge(drawn, token, row + i)
      if (verdict !== null) this.#finish(drawn, verdict.finishReason)
    }
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
  }

  /** Rule 3. A search ends as a whole. */
  #keepWithinPool(group: SequenceGroup): void {
    const { promptLength, pace, forked } = group
    if (!forked) return
    while (blocksOfGroup(this.blocks, promptLength, pace, group.live) > this.#capacity) {
      if (group.beams !== null) this.#end(group, 'length')
      else
        this.#finish(
          group.sequences.findLast((sequence) => !sequence.finished)!,
          'length',
        )
    }
  }

  #end(group: SequenceGroup, reason: FinishReason): void {
    for (const sequence of group.sequences) this.#finish(sequence, reason)
  }

  #finish(sequence: Sequence, reason: FinishReason): void {
    if (sequence.finished) return
    const { group } = sequence
    sequence.finishReason = reason
    this.blocks.free(sequence)
    if (group.state === 'running') this.#runningSequences--
    if (--group.live > 0) return
    group.state = 'finished'
    this.#groups.delete(group.requestId)
  }

  #dropFinished(): void {
    let kept = 0
    for (const group of this.#running) if (!group.finished) this.#running[kept++] = group
    this.#running.length = kept
  }
}
