import type { ScheduledSequence, ScheduledStep, BlockCopy } from '../scheduling/scheduled-step.js'
import type { Sequence } from '../scheduling/sequence.js'
import type { SamplingParams } from '../sampling-params.js'
import type { DrawRules, DrawRulesOf, StepMasks } from './draw-rules.js'
import { Growable } from './growable.js'
import {
  Header,
  HEADER_INTS,
  SAMPLE_FLOATS,
  SAMPLE_INTS,
  SAMPLE_PROCESSED,
  SampleFloat,
  SampleInt,
  SEQUENCE_INTS,
  STEP_FORMAT_VERSION,
} from './step.js'

type DrawNumbers = Pick<
  SamplingParams,
  'temperature' | 'topP' | 'minP' | 'presencePenalty' | 'frequencyPenalty' | 'repetitionPenalty'
>

/** Draws from the logits as they are; a row with a target draws nothing. */
const PLAIN: DrawNumbers = {
  temperature: 1,
  topP: 1,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
}

/** The two arrays of a packed step: views that the next `pack` overwrites. */
export interface PackedStep {
  readonly ints: Int32Array
  readonly floats: Float32Array
}

/** Where and how a part's draws are made. */
interface DrawPlace {
  /** Drafts before the row. */
  readonly ahead: number
  readonly tokenRow: number
  readonly rules: DrawRules
  /** Its number, −1: none. */
  readonly mask: number
}

export interface PackerOptions {
  /** Cache groups of the plan. */
  readonly groups: number
  readonly vocabSize: number
  /** Report log-probabilities after all processors instead of the raw logits'. */
  readonly processedLogprobs: boolean
  readonly rulesOf: DrawRulesOf
  /** null: no request has shared masks. */
  readonly masks?: StepMasks | null
}

/**
 * Packs scheduled steps into the wire format of step.ts. Sections whose lengths are known from the
 * step are written in place; the others gather in buffers of their own and are appended.
 */
export class StepPacker {
  readonly #options: PackerOptions
  readonly #maskWords: number
  readonly #ints = new Growable(Int32Array)
  readonly #floats = new Growable(Float32Array)
  readonly #samples = new Growable(Int32Array)
  readonly #penalties = new Growable(Int32Array)
  readonly #biasIds = new Growable(Int32Array)
  readonly #biasValues = new Growable(Float32Array)
  readonly #masks = new Growable(Int32Array)
  readonly #pools = new Growable(Int32Array)
  readonly #carried = new Growable(Float32Array)
  readonly #embeddings = new Growable(Float32Array)
  #maskCount = 0
  #embeddingCount = 0
  #embeddingColumns = 0

  constructor(options: PackerOptions) {
    this.#options = options
    this.#maskWords = Math.ceil(options.vocabSize / 32)
  }

  pack(step: ScheduledStep): PackedStep {
    this.#reset()
    const maskTicket = this.#options.masks?.begin() ?? 0
    const { sequences, tokenCount } = step
    const ints = this.#ints
    ints.reserve(HEADER_INTS + 2 * tokenCount + SEQUENCE_INTS * sequences.length)
    this.#packRows(sequences, tokenCount)
    this.#packTables(sequences)
    const tableLength = this.#tableLength
    this.#packSamples(sequences)
    this.#options.masks?.send()
    const penalties = this.#penalties.length / 3
    const biases = this.#biasIds.length
    for (const part of [this.#samples, this.#penalties, this.#biasIds, this.#masks]) {
      ints.append(part.array, part.length)
    }
    packCopies(ints, step.copiesBefore)
    packCopies(ints, step.copiesAfter)
    this.#packPools(sequences)
    for (const part of [this.#biasValues, this.#carried, this.#embeddings])
      this.#floats.append(part.array, part.length)

    const head = ints.array
    head[Header.version] = STEP_FORMAT_VERSION
    head[Header.stepId] = step.id
    head[Header.plan] = 0
    head[Header.tokens] = tokenCount
    head[Header.sequences] = sequences.length
    head[Header.samples] = step.sampleCount
    head[Header.groups] = this.#options.groups
    head[Header.tableLength] = tableLength
    head[Header.penalties] = penalties
    head[Header.biases] = biases
    head[Header.masks] = this.#maskCount
    head[Header.maskWords] = this.#maskWords
    head[Header.copiesBefore] = step.copiesBefore.length
    head[Header.copiesAfter] = step.copiesAfter.length
    head[Header.maskTicket] = maskTicket
    head[Header.pools] = this.#pools.length / 3
    head[Header.carriedLength] = this.#carried.length
    head[Header.embeddings] = this.#embeddingCount
    head[Header.embeddingColumns] = this.#embeddingColumns
    return { ints: ints.view(), floats: this.#floats.view() }
  }

  #tableLength = 0

  #reset(): void {
    const ints = [
      this.#ints,
      this.#samples,
      this.#penalties,
      this.#biasIds,
      this.#masks,
      this.#pools,
    ]
    for (const part of ints) part.clear()
    for (const part of [this.#floats, this.#biasValues, this.#carried, this.#embeddings])
      part.clear()
    this.#maskCount = this.#embeddingCount = this.#embeddingColumns = 0
  }

  /** Sections ids, positions and sequences, in place behind the header. */
  #packRows(sequences: readonly ScheduledSequence[], tokenCount: number): void {
    const ints = this.#ints
    ints.length = HEADER_INTS + 2 * tokenCount + SEQUENCE_INTS * sequences.length
    const array = ints.array
    let row = 0
    let at = HEADER_INTS + 2 * tokenCount
    for (const { sequence, start, count, drafts } of sequences) {
      const tokens = sequence.tokens
      array[at++] = row
      array[at++] = count
      array[at++] = start + count
      array[at++] = sequence.length + drafts
      array[at++] = sequence.group.adapterSlot
      for (let i = 0; i < count; i++, row++) {
        array[HEADER_INTS + row] = tokens[start + i]!
        array[HEADER_INTS + tokenCount + row] = start + i
      }
    }
    this.#packEmbeddings(sequences)
  }

  /** Names rows of embeddings in place of the ids of tokens that are given so. */
  #packEmbeddings(sequences: readonly ScheduledSequence[]): void {
    let firstRow = 0
    for (const { sequence, start, count } of sequences) {
      const { embeds } = sequence.group
      if (embeds !== null && start < embeds.rows) {
        const { columns, data } = embeds
        const end = Math.min(start + count, embeds.rows)
        for (let i = 0; i < end - start; i++) {
          const id = this.#options.vocabSize + this.#embeddingCount++
          this.#ints.array[HEADER_INTS + firstRow + i] = id
        }
        const rows = data.subarray(start * columns, end * columns)
        this.#embeddings.append(rows, rows.length)
        this.#embeddingColumns = columns
      }
      firstRow += count
    }
  }

  /** Sections tableStarts and tables. */
  #packTables(sequences: readonly ScheduledSequence[]): void {
    const ints = this.#ints
    const { groups } = this.#options
    let at = ints.length
    ints.length += groups * sequences.length + 1
    ints.reserve(ints.length)
    let total = 0
    for (let group = 0; group < groups; group++) {
      for (const { sequence } of sequences) {
        ints.array[at++] = total
        const count = sequence.blockCounts[group]!
        ints.append(sequence.blockTables[group]!, count)
        total += count
      }
    }
    ints.array[at] = total
    this.#tableLength = total
  }

  /** Rows of prompts whose hidden states are pooled, on top of what earlier parts have given. */
  #packPools(sequences: readonly ScheduledSequence[]): void {
    let firstRow = 0
    for (const { sequence, count, pools } of sequences) {
      firstRow += count
      if (pools === 0) continue
      const sum = this.#options.rulesOf(sequence.group).pooledSoFar?.()
      this.#pools.push(firstRow - pools)
      this.#pools.push(pools)
      this.#pools.push(sum ? this.#carried.length : -1)
      if (sum) this.#carried.append(sum, sum.length)
    }
    this.#ints.append(this.#pools.array, this.#pools.length)
  }

  #packSamples(sequences: readonly ScheduledSequence[]): void {
    let firstRow = 0
    for (const part of sequences) {
      if (part.scoreCount > 0) this.#packScores(part, firstRow)
      if (part.draws > 0) this.#packDraws(part, firstRow + part.count - 1)
      firstRow += part.count
    }
  }

  /** Rows that score the prompt's own next tokens. */
  #packScores(part: ScheduledSequence, firstRow: number): void {
    const { sequence } = part
    const wanted = sequence.group.params.promptLogprobs ?? 0
    for (let position = part.scoreStart; position < part.scoreStart + part.scoreCount; position++) {
      const at = this.#nextSample(firstRow + position - part.start, wanted, PLAIN)
      this.#samples.array[at + SampleInt.target] = sequence.tokens[position + 1]!
    }
  }

  /** The draws of a part: those of its last token or, with drafts, one behind each of them and one before. */
  #packDraws(part: ScheduledSequence, lastRow: number): void {
    const { sequence, drafts } = part
    const { tokens, length, penalties } = sequence
    const rules = this.#options.rulesOf(sequence.group)
    const mask = this.#packMask(rules)
    for (let ahead = 0; ahead <= drafts; ahead++) {
      if (ahead > 0) penalties?.addOutput(tokens[length + ahead - 1]!)
      this.#packDrawsBehind(part, { ahead, tokenRow: lastRow - drafts + ahead, rules, mask })
    }
    for (let i = 0; i < drafts; i++) penalties?.removeOutput(tokens[length + i]!)
  }

  /** The draws behind so many drafts: one for the sequence itself and, on a group's first draw, one for each fork to come. */
  #packDrawsBehind(part: ScheduledSequence, { ahead, tokenRow, rules, mask }: DrawPlace): void {
    const { sequence } = part
    const { group } = sequence
    const { params } = group
    const penaltyStart = this.#penalties.length / 3
    const { penalties } = sequence
    if (penalties !== null) this.#penalties.append(penalties.triples, 3 * penalties.size)
    const biasStart = this.#biasIds.length
    const biasCount = this.#packBiases(rules, sequence, ahead)
    const draws = part.draws - part.drafts
    for (let draw = 0; draw < draws; draw++) {
      const at = this.#nextSample(tokenRow, rules.logprobs, params)
      const samples = this.#samples.array
      samples[at + SampleInt.topK] = params.topK
      samples[at + SampleInt.seedLow] = group.seedLow
      samples[at + SampleInt.seedHigh] = group.seedHigh
      samples[at + SampleInt.stream] = sequence.index + draw
      samples[at + SampleInt.counter] = sequence.outputLength + ahead
      samples[at + SampleInt.penaltyStart] = penaltyStart
      samples[at + SampleInt.penaltyCount] = penalties?.size ?? 0
      samples[at + SampleInt.biasStart] = biasStart
      samples[at + SampleInt.biasCount] = biasCount
      samples[at + SampleInt.mask] = mask
      if (rules.sharedMasks === null) continue
      const drawn = draws === 1 ? sequence : group.sequences[draw]!
      samples[at + SampleInt.sharedMask] = rules.sharedMasks.rowOf(drawn, ahead)
    }
  }

  /** Adds a sample row that draws with no limit, penalty, bias or mask; gives its place. */
  #nextSample(tokenRow: number, logprobs: number, params: DrawNumbers): number {
    const at = this.#samples.length
    this.#samples.reserve(at + SAMPLE_INTS)
    this.#samples.length = at + SAMPLE_INTS
    const samples = this.#samples.array
    samples.fill(0, at, at + SAMPLE_INTS)
    samples[at + SampleInt.tokenRow] = tokenRow
    samples[at + SampleInt.logprobs] = logprobs
    samples[at + SampleInt.target] = -1
    samples[at + SampleInt.mask] = -1
    samples[at + SampleInt.sharedMask] = -1
    samples[at + SampleInt.flags] = this.#options.processedLogprobs ? SAMPLE_PROCESSED : 0

    const to = this.#floats.length
    this.#floats.reserve(to + SAMPLE_FLOATS)
    this.#floats.length = to + SAMPLE_FLOATS
    const floats = this.#floats.array
    floats[to + SampleFloat.temperature] = params.temperature
    floats[to + SampleFloat.topP] = params.topP
    floats[to + SampleFloat.minP] = params.minP
    floats[to + SampleFloat.presencePenalty] = params.presencePenalty
    floats[to + SampleFloat.frequencyPenalty] = params.frequencyPenalty
    floats[to + SampleFloat.repetitionPenalty] = params.repetitionPenalty
    return at
  }

  #packBiases(rules: DrawRules, sequence: Sequence, drafts: number): number {
    const bias = rules.biases(sequence, drafts)
    if (bias === null) return 0
    for (const id of bias.ids) this.#biasIds.push(id)
    for (const value of bias.values) this.#biasValues.push(value)
    return bias.ids.length
  }

  #packMask(rules: DrawRules): number {
    if (rules.mask === null) return -1
    this.#masks.append(rules.mask, this.#maskWords)
    return this.#maskCount++
  }
}

function packCopies(ints: Growable<Int32Array>, copies: readonly BlockCopy[]): void {
  for (const { group, fromTier, from, toTier, to } of copies) {
    const at = ints.length
    ints.reserve(at + 5)
    ints.length = at + 5
    ints.array[at] = group
    ints.array[at + 1] = fromTier
    ints.array[at + 2] = from
    ints.array[at + 3] = toTier
    ints.array[at + 4] = to
  }
}
