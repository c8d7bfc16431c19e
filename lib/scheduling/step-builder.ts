import type { AdapterSlots } from './adapter-slots.js'
import type { BlockManager } from './block-manager.js'
import { blocksOfGroup, blocksOwedTo } from './group-memory.js'
import type { GroupQueue } from './group-queue.js'
import type { Preemption } from './preemption.js'
import { noMatch, type PrefixMatch } from './prefix-cache.js'
import { Promotion } from './promotion.js'
import { victimsOf } from './right-of-way.js'
import type { RunningGroups } from './running-groups.js'
import type { ScheduledSequence } from './scheduled-step.js'
import type { SchedulerOptions } from './scheduler-types.js'
import type { Sequence, SequenceGroup } from './sequence.js'
import type { Speculation } from './speculation.js'
import { StepDraft } from './step-draft.js'

interface BuilderParts {
  readonly options: Required<Omit<SchedulerOptions, 'blocks'>>
  /** Sequences that may run at once. */
  readonly sequenceLimit: number
  readonly blocks: BlockManager
  readonly running: RunningGroups
  readonly queue: GroupQueue
  readonly preemption: Preemption
  readonly adapters: AdapterSlots
  /** null: sequences decode token by token. */
  readonly speculation: Speculation | null
}

/** Puts steps together: gives tokens and blocks to running groups, preempts them, and starts others. */
export class StepBuilder {
  /** Prompt tokens looked up in the prefix cache and found there, since the start. */
  cacheQueries = 0
  cacheHits = 0
  readonly #blocks: BlockManager
  readonly #options: BuilderParts['options']
  readonly #sequenceLimit: number
  readonly #reserve: number
  readonly #running: RunningGroups
  readonly #queue: GroupQueue
  readonly #preemption: Preemption
  readonly #adapters: AdapterSlots
  readonly #speculation: Speculation | null
  /** null: the policy's order does not change. */
  readonly #promotion: Promotion | null
  /** Of the step that is put together: prompts that share what is left of it, and those it leaves unfinished. */
  #sharers = 1
  #unfinished = 0

  constructor(parts: BuilderParts) {
    this.#options = parts.options
    this.#sequenceLimit = parts.sequenceLimit
    this.#blocks = parts.blocks
    this.#running = parts.running
    this.#queue = parts.queue
    this.#preemption = parts.preemption
    this.#adapters = parts.adapters
    this.#speculation = parts.speculation
    const { feedback } = parts.options.policy
    this.#promotion = feedback ? new Promotion(parts.queue, feedback) : null
    this.#reserve = Math.floor(parts.options.watermark * parts.blocks.pool.capacity)
  }

  /** The next step, with number `id`: empty when nothing waits or runs. */
  build(id: number): StepDraft {
    const { maxNumBatchedTokens, maxSamples } = this.#options
    const draft = new StepDraft(id, maxNumBatchedTokens, maxSamples)
    this.#promotion?.promote(id, this.#running.sequences)
    this.#giveWay()
    this.#decode(draft)
    this.#speculation?.extend(draft)
    this.#sharers = this.#countSharers()
    this.#unfinished = 0
    const owed = this.#continuePrefills(draft)
    if (owed !== null) this.#admit(draft, owed)
    return draft
  }

  /** Preempts running groups for those that wait though they go before them. */
  #giveWay(): void {
    const victims = victimsOf({
      running: this.#running,
      queue: this.#queue,
      policy: this.#options.policy,
      blocks: this.#blocks,
      sequenceLimit: this.#sequenceLimit,
      adapterSlots: this.#options.adapterSlots,
      reserve: this.#reserve,
    })
    for (const group of victims) this.#preempt(group)
  }

  #decode(draft: StepDraft): void {
    for (const group of this.#running) {
      const parts = draft.size
      const copies = this.#blocks.pendingCopies
      if (this.#decodeGroup(group, draft)) continue
      draft.dropFrom(parts)
      if (group.state === 'waiting') this.#blocks.dropCopies(copies)
    }
  }

  /** False when no other group was left to preempt, so that this one was. */
  #decodeGroup(group: SequenceGroup, draft: StepDraft): boolean {
    if (!group.forked) return true
    const { pace } = group
    for (const sequence of group.sequences) {
      if (sequence.finished || sequence.uncomputed !== 1 || sequence.length !== pace) continue
      if (pace === group.maxLength) continue // its last token is being drawn
      while (!this.#blocks.append(sequence, sequence.length)) {
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
      owed += blocksOwedTo(this.#blocks, group)
    }
    return owed
  }

  #prefill(sequence: Sequence, draft: StepDraft): boolean {
    const { group, computed } = sequence
    let part = draft.part(sequence, computed, this.#chunkLimit(sequence, computed, draft))
    while (part !== null && !this.#blocks.append(sequence, part.start + part.count)) {
      if (this.#preemptBehind(group, draft)) continue
      const room = this.#options.enableChunkedPrefill ? this.#blocks.room(sequence) : 0
      part = draft.part(sequence, computed, Math.min(room, part.count))
    }
    if (part === null) return false
    this.#addPrefill(part, draft)
    return true
  }

  #addPrefill(part: ScheduledSequence, draft: StepDraft): void {
    draft.add(part)
    part.sequence.group.lastStep = draft.id
    this.#sharers = Math.max(1, this.#sharers - 1)
    if (isCut(part)) this.#unfinished++
  }

  /** Prompts that this step could compute, as many as may be unfinished at once. */
  #countSharers(): number {
    const { maxNumPartialPrefills } = this.#options
    if (maxNumPartialPrefills === 1) return 1
    let prompts = this.#queue.size
    for (const group of this.#running) if (group.behind) prompts++
    return Math.min(maxNumPartialPrefills, Math.max(1, prompts))
  }

  /** Brings a group that was swapped in back into the step, as far as it goes. */
  #resume(group: SequenceGroup, draft: StepDraft): void {
    const { behind, forked, live, pace } = group
    if (!behind && (draft.tokensLeft < live || draft.rowsLeft < live)) return
    for (const sequence of forked ? group.sequences : [group.leader]) {
      // Before it has forked, its prompt is computed for all, whichever has drawn most.
      if (sequence.finished || (forked && sequence.length !== pace)) continue
      const { computed } = sequence
      // As in #begin, windows may need more blocks on the way.
      const room =
        behind && this.#options.enableChunkedPrefill ? this.#blocks.room(sequence) : Infinity
      const limit = Math.min(room, this.#chunkLimit(sequence, computed, draft))
      const part = draft.part(sequence, computed, limit)
      if (part === null || !this.#blocks.append(sequence, part.start + part.count)) return
      if (behind) this.#addPrefill(part, draft)
      else draft.add(part)
      group.lastStep = draft.id
    }
  }

  /**
   * A prompt's share of what is left of the step. Without chunked prefill, all the rest of the prompt
   * or nothing; but alone in a step, as much as it takes.
   */
  #chunkLimit(sequence: Sequence, start: number, draft: StepDraft): number {
    const { tokensLeft } = draft
    if (this.#options.enableChunkedPrefill) return Math.ceil(tokensLeft / this.#sharers)
    return draft.size > 0 && sequence.goal - start > tokensLeft ? 0 : tokensLeft
  }

  #admit(draft: StepDraft, owedByRunning: number): void {
    let owed = owedByRunning
    for (;;) {
      const group = this.#queue.first
      if (group === undefined || draft.tokensLeft === 0) return
      if (this.#running.sequences + group.live > this.#sequenceLimit) return
      if (!this.#adapters.take(group)) return
      if (!this.#start(group, draft, owed)) {
        this.#adapters.give(group)
        return
      }
      this.#queue.remove(group)
      const swapped = group.state === 'swapped'
      group.state = 'running'
      this.#running.add(group)
      if (swapped) this.#resume(group, draft)
      owed += blocksOwedTo(this.#blocks, group)
    }
  }

  /** Gives a group its blocks if all its tokens fit the free ones. False when they, or a first part, do not fit. */
  #start(group: SequenceGroup, draft: StepDraft, owed: number): boolean {
    const swapped = group.state === 'swapped'
    const match = swapped ? noMatch : this.#match(group.leader)
    const needed =
      blocksOfGroup(this.#blocks, group.promptLength, group.pace, group.live) - match.owned
    const spare = this.#blocks.pool.available - owed - needed
    if (spare < this.#reserve && this.#running.size > 0) return false
    return swapped ? this.#preemption.restore(group) : this.#begin(group, draft, match)
  }

  /** Adds a group's first part to the step. */
  #begin(group: SequenceGroup, draft: StepDraft, match: PrefixMatch): boolean {
    const sequence = group.leader
    const start = match.blocks * this.#blocks.blockSize
    // Windows may need more blocks on the way than they hold in the end.
    const room = this.#options.enableChunkedPrefill ? this.#blocks.roomBehind(match) : Infinity
    const limit = Math.min(room, this.#chunkLimit(sequence, start, draft))
    const part = draft.part(sequence, start, limit)
    if (part === null) return false
    if (isCut(part) && this.#unfinished >= this.#options.maxNumPartialPrefills) return false
    if (!this.#blocks.allocate(sequence, start + part.count, match.blocks)) return false
    this.#addPrefill(part, draft)
    if (group.preemptions === 0) this.#countMatch(group, start)
    return true
  }

  #countMatch(group: SequenceGroup, cachedTokens: number): void {
    group.cachedTokens = cachedTokens
    if (!this.#options.enablePrefixCaching || group.readsPrompt) return
    this.cacheQueries += group.promptLength
    this.cacheHits += cachedTokens
  }

  /** A request that wants all its prompt scored or pooled computes all of it; others, all but one token. */
  #match(sequence: Sequence): PrefixMatch {
    if (sequence.group.readsPrompt) return noMatch
    return this.#blocks.match(sequence, sequence.goal - 1)
  }

  /** Preempts the last running group unless it is `group` or has a part in the step. */
  #preemptBehind(group: SequenceGroup, draft: StepDraft): boolean {
    const last = this.#running.fromEnd()!
    if (last === group || last.lastStep === draft.id) return false
    this.#preemptLast()
    return true
  }

  /** Gives the last running group; there must be one. */
  #preemptLast(): SequenceGroup {
    const group = this.#running.fromEnd()!
    this.#preempt(group)
    return group
  }

  #preempt(group: SequenceGroup): void {
    this.#running.remove(group)
    this.#adapters.give(group)
    this.#preemption.evict(group)
    this.#queue.add(group)
  }
}

/** Whether a part leaves some of its prompt for another step. */
function isCut({ sequence, start, count }: ScheduledSequence): boolean {
  return start + count < sequence.goal
}
