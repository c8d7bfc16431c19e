import type { AdapterLoad, BlockCopy, ScheduledSequence, ScheduledStep } from './scheduled-step.js'
import type { Sequence } from './sequence.js'

/** A step being put together within its budgets of tokens and sample rows. */
export class StepDraft {
  readonly id: number
  readonly #parts: ScheduledSequence[] = []
  #tokensLeft: number
  #rowsLeft: number
  readonly #maxTokens: number
  readonly #maxRows: number

  constructor(id: number, maxTokens: number, maxRows: number) {
    this.id = id
    this.#maxTokens = this.#tokensLeft = maxTokens
    this.#maxRows = this.#rowsLeft = maxRows
  }

  get size(): number {
    return this.#parts.length
  }

  get parts(): readonly ScheduledSequence[] {
    return this.#parts
  }

  get tokensLeft(): number {
    return this.#tokensLeft
  }

  get rowsLeft(): number {
    return this.#rowsLeft
  }

  /**
   * The next part of a sequence from token `start` on, of at most `limit` tokens, cut where its
   * sample rows run out; null when nothing is left of it. Before its group has forked, a sequence
   * goes to the end of the prompt only, where the others take over its blocks.
   */
  part(sequence: Sequence, start: number, limit: number): ScheduledSequence | null {
    const { group } = sequence
    const { promptLength } = group
    let end = Math.min(sequence.goal, start + limit)
    const mayDraw = end === sequence.length && group.pooling === null
    let draws = !mayDraw ? 0 : group.forked ? 1 : group.firstDraws
    const scoreStart = Math.max(start, group.scored)
    if (Math.max(0, Math.min(end, promptLength - 1) - scoreStart) + draws > this.#rowsLeft) {
      end = Math.min(draws > 0 ? end - 1 : end, scoreStart + this.#rowsLeft)
      draws = 0
    }
    if (end <= start) return null
    const scoreCount = Math.max(0, Math.min(end, promptLength - 1) - scoreStart)
    const pools = Math.max(0, Math.min(end - start, end - group.pooled))
    return { sequence, start, count: end - start, scoreStart, scoreCount, draws, drafts: 0, pools }
  }

  add(part: ScheduledSequence): void {
    this.#parts.push(part)
    this.#tokensLeft -= part.count
    this.#rowsLeft -= part.scoreCount + part.draws
  }

  /** Has part number `place`, of a sequence that decodes, verify the drafts of its sequence too. */
  verify(place: number): void {
    const part = this.#parts[place]!
    const { drafts } = part.sequence
    const { count, draws } = part
    this.#parts[place] = { ...part, count: count + drafts, draws: draws + drafts, drafts }
    this.#tokensLeft -= drafts
    this.#rowsLeft -= drafts
  }

  /** Takes back the parts from number `size` on. */
  dropFrom(size: number): void {
    while (this.#parts.length > size) {
      const part = this.#parts.pop()!
      this.#tokensLeft += part.count
      this.#rowsLeft += part.scoreCount + part.draws
    }
  }

  finish(copiesBefore: readonly BlockCopy[], adapterLoads: readonly AdapterLoad[]): ScheduledStep {
    return {
      id: this.id,
      sequences: byAdapter(this.#parts),
      tokenCount: this.#maxTokens - this.#tokensLeft,
      sampleCount: this.#maxRows - this.#rowsLeft,
      copiesBefore,
      copiesAfter: [],
      adapterLoads,
    }
  }
}

/** Rows with the same adapter side by side: native multiplies them together. */
function byAdapter(parts: ScheduledSequence[]): ScheduledSequence[] {
  const slotOf = ({ sequence }: ScheduledSequence) => sequence.group.adapterSlot
  if (parts.every((part) => slotOf(part) < 0)) return parts
  return parts.sort((a, b) => slotOf(a) - slotOf(b))
}
