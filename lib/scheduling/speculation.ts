import type { BlockManager } from './block-manager.js'
import { NgramIndex } from './ngram-index.js'
import type { ScheduledSequence } from './scheduled-step.js'
import type { Sequence, SequenceGroup } from './sequence.js'
import type { StepDraft } from './step-draft.js'

/** How sequences draft tokens: what stood behind the last occurrence of their last ones. */
export interface SpeculationOptions {
  /** Tokens that a sequence drafts at most. */
  readonly numSpeculativeTokens: number
  /** Fewest and most last tokens that are looked up. */
  readonly promptLookupMin: number
  readonly promptLookupMax: number
}

/** What a sequence drafts by. */
interface Drafting {
  readonly index: NgramIndex
  /** Drafts that it may make at present; below 1 none. */
  limit: number
}

interface SpeculationParts {
  readonly options: SpeculationOptions
  readonly blocks: BlockManager
  /** Positions turn otherwise in longer sequences. */
  readonly recomputeBeyond: number
  /** Whether a group whose sequences have so many tokens each fits the pool. */
  readonly fits: (group: SequenceGroup, length: number) => boolean
}

/** Decoding rows of a step up to which drafts still cost less than they gain (docs/speculative-decoding.md). */
const FEW_ROWS = 16

/** What a step without drafts adds to a limit below 1: the drafts of a sequence are tried again in a while. */
const REGAINED = 1 / 16

/** Decoding rows, drafts included, of a step with drafts. */
export function rowsWithDrafts({ numSpeculativeTokens }: SpeculationOptions): number {
  return Math.max(FEW_ROWS, 1 + numSpeculativeTokens)
}

/**
 * Speculative decoding: a step computes a sequence's last token and drafts of those to come, and draws
 * at each of them exactly as it would have been drawn later. The draws count as far as the drafts agree
 * with them, and one further; the rest is taken back.
 */
export class Speculation {
  /** Since the start: parts that verified drafts, the drafts, and the tokens that were drawn thanks to them. */
  parts = 0
  draftTokens = 0
  acceptedTokens = 0
  readonly #parts: SpeculationParts
  readonly #rows: number
  readonly #drafting = new WeakMap<Sequence, Drafting>()

  constructor(parts: SpeculationParts) {
    this.#parts = parts
    this.#rows = rowsWithDrafts(parts.options)
  }

  /** Whether a step of so many decoding sequences has room for drafts. */
  hasRoomBeside(sequences: number): boolean {
    return sequences < this.#rows
  }

  /** Has the sequences of a step, which all decode, verify drafts as far as rows and blocks are left. */
  extend(draft: StepDraft): void {
    const { size } = draft
    let spare = Math.min(this.#rows - size, draft.tokensLeft, draft.rowsLeft)
    for (let place = 0; place < size && spare > 0; place++) {
      const { sequence } = draft.parts[place]!
      if (!maySpeculate(sequence)) continue
      const share = Math.ceil(spare / (size - place))
      const count = this.#draft(sequence, Math.min(share, this.#mostOf(sequence)))
      if (count === 0) continue
      this.#parts.blocks.append(sequence, sequence.length + count)
      draft.verify(place)
      spare -= count
    }
  }

  /** How many drafts of a part its draws agree with. */
  accept({ sequence, drafts }: ScheduledSequence, tokenIds: Int32Array, row: number): number {
    const { tokens, length } = sequence
    let accepted = 0
    while (accepted < drafts && tokens[length + accepted] === tokenIds[row + accepted]) accepted++
    sequence.drafts = 0
    this.parts++
    this.draftTokens += drafts
    const drafting = this.#drafting.get(sequence)!
    const next = accepted === drafts ? 2 * drafting.limit : drafting.limit / 2
    drafting.limit = Math.min(this.#parts.options.numSpeculativeTokens, Math.max(accepted, next))
    return accepted
  }

  /** Drafts that a sequence may have verified without going where it could not go token by token. */
  #mostOf(sequence: Sequence): number {
    const { blocks, recomputeBeyond, fits } = this.#parts
    const { group, length } = sequence
    const most = Math.min(
      group.maxLength - length - 1,
      group.long ? Infinity : recomputeBeyond - length,
      blocks.room(sequence),
      this.#parts.options.numSpeculativeTokens,
    )
    return most > 0 && fits(group, length + most) ? most : 0
  }

  #draft(sequence: Sequence, most: number): number {
    if (most <= 0) return 0
    const drafting = this.#draftingOf(sequence)
    if (drafting.limit < 1) {
      drafting.limit += REGAINED
      return 0
    }
    const from = drafting.index.match(sequence.tokens, sequence.length)
    const count = from === 0 ? 0 : Math.min(most, Math.floor(drafting.limit))
    if (count > 0) sequence.draft(from, count)
    return count
  }

  #draftingOf(sequence: Sequence): Drafting {
    let drafting = this.#drafting.get(sequence)
    if (drafting === undefined) {
      const { numSpeculativeTokens, promptLookupMin, promptLookupMax } = this.#parts.options
      const first = sequence.group.embeds?.rows ?? 0
      const index = new NgramIndex(promptLookupMin, promptLookupMax, first)
      drafting = { index, limit: numSpeculativeTokens }
      this.#drafting.set(sequence, drafting)
    }
    return drafting
  }
}

/** Whether a sequence's draws do not depend on others of its request. */
function maySpeculate({ group, drawing }: Sequence): boolean {
  return !drawing && group.live === 1 && group.beams === null
}
