import { EngineError } from '../errors.js'
import type { StepResult } from '../native/executor.js'
import type { DrawRules } from '../native/draw-rules.js'
import { NO_NUMBERS, NOTHING_ALLOWED } from '../native/step.js'
import type { Path } from '../scheduling/beam-search.js'
import type { ScheduledSequence, ScheduledStep } from '../scheduling/scheduled-step.js'
import type { FinishReason, Sequence, SequenceGroup } from '../scheduling/sequence.js'
import { writeBeams } from './beam-outputs.js'
import type { TraceHeaders } from './call-options.js'
import type { EmbeddingOutput, PooledPrompt } from './embedding.js'
import type { RequestRecord } from './observer.js'
import type { Ending, OutputBuilder } from './output-builder.js'
import type { OutputDelta, RequestMetrics, RequestOutput, TokenLogprobs } from './outputs.js'

/** Who waits for a request. */
export interface RequestListener {
  /** A step has moved it, and it goes on. Told while the next step is computed. */
  onMoved(request: Request): void
  /** It is over. Told within the step that ends it. */
  onEnded(request: Request): void
  onError(error: unknown): void
}

/** A fault in drawing one request's tokens or turning them to text ends that request alone. */
const FAILED: Ending = { finishReason: 'error', stopReason: null }

export interface RequestParts {
  readonly group: SequenceGroup
  readonly rules: DrawRules
  readonly prompt: string | null
  readonly promptTokenIds: Int32Array
  /** One a sequence of the group, or of a search one an output. */
  readonly builders: readonly OutputBuilder[]
  readonly readLogprobs: (result: StepResult, row: number) => TokenLogprobs
  readonly readPath: (path: Path) => TokenLogprobs
  /** null: the request follows no grammar. */
  readonly masks: { close(): void } | null
  /** null: the request draws. */
  readonly pooled: PooledPrompt | null
  readonly listener: RequestListener
}

/** A request on its way: what the engine knows of it beyond the scheduler's sequence group. */
export class Request {
  readonly group: SequenceGroup
  readonly rules: DrawRules
  readonly listener: RequestListener
  /** Of the trace that it belongs to; null: of none. */
  traceHeaders: TraceHeaders | null = null
  /** When each sequence drew last, in milliseconds since the epoch: for whoever watches. */
  readonly tokenTimes: number[] = []
  readonly #parts: RequestParts
  readonly #builders: readonly OutputBuilder[]
  readonly #metrics: RequestMetrics
  readonly #promptLogprobs: (TokenLogprobs | null)[] | undefined

  constructor(parts: RequestParts) {
    this.#parts = parts
    this.group = parts.group
    this.group.owner = this
    this.rules = parts.rules
    this.listener = parts.listener
    this.#builders = parts.builders
    this.#promptLogprobs = parts.group.params.promptLogprobs === null ? undefined : [null]
    this.#metrics = {
      arrivalTime: Date.now(),
      firstScheduledTime: null,
      firstTokenTime: null,
      finishedTime: null,
      cachedTokens: 0,
      preemptions: 0,
    }
  }

  get id(): string {
    return this.group.requestId
  }

  /** The text of the first output so far. */
  get firstText(): string {
    return this.#builders[0]?.completion.text ?? ''
  }

  get finished(): boolean {
    return this.#builders.every((builder) => builder.finished)
  }

  get arrivalTime(): number {
    return this.#metrics.arrivalTime
  }

  /**
   * Records the times, the scored prompt positions of a part whose sample rows begin at `row`, and row
   * `pooled` of what the step pooled. False when the request has failed: a search cannot go on from a
   * row without numbers.
   */
  acceptPart(part: ScheduledSequence, result: StepResult, row: number, pooled: number): boolean {
    if (part.pools > 0) this.#acceptPooled(result, pooled)
    this.#metrics.firstScheduledTime ??= Date.now()
    if (part.draws > 0) this.#metrics.firstTokenTime ??= Date.now()
    for (let i = 0; i < part.scoreCount; i++) {
      const position = part.scoreStart + i + 1
      if (this.#promptLogprobs?.length !== position) continue
      this.#promptLogprobs.push(this.#parts.readLogprobs(result, row + i))
    }
    const searches = this.group.beams !== null && part.draws > 0
    if (!searches || result.ranks[row + part.scoreCount] !== NO_NUMBERS) return true
    this.fail(noNumbers(this.id))
    return false
  }

  /** Adds a drawn token to its sequence's output; gives the ending that it brings, if it does. */
  acceptToken(sequence: Sequence, tokenId: number, result: StepResult, row: number): Ending | null {
    try {
      if (result.ranks[row] === NO_NUMBERS) throw noNumbers(this.id)
      if (result.ranks[row] === NOTHING_ALLOWED) throw nothingAllowed(this.id)
      return this.#builderOf(sequence).push(tokenId, result.logprobs[row]!, () =>
        this.#parts.readLogprobs(result, row),
      )
    } catch (error) {
      this.listener.onError(error)
      this.#builderOf(sequence).finish(FAILED)
      return FAILED
    }
  }

  /** Ends every output that still runs. */
  finish(finishReason: FinishReason): void {
    this.#writeBeams()
    for (const builder of this.#builders) builder.finish({ finishReason, stopReason: null })
  }

  /** Ends the outputs whose sequences the scheduler ended by itself, as when the pool is too small. */
  finishEnded(): void {
    if (this.group.finished) this.#writeBeams()
    for (const { index, finishReason } of this.group.sequences) {
      if (finishReason !== null) this.#builders[index]?.finish({ finishReason, stopReason: null })
    }
  }

  /** The engine has forgotten the request: gives back what others keep for it. */
  release(): void {
    this.group.owner = null
    this.#parts.masks?.close()
  }

  /** What is new since the last call, one delta an output. */
  takeDeltas(): OutputDelta[] {
    return this.#builders.map((builder) => builder.takeDelta()).filter((delta) => delta !== null)
  }

  /** What is remembered of a request that is over. */
  record(): RequestRecord {
    const { params, promptLength, maxLength } = this.group
    const completions = this.#chosen().map(({ completion }) => completion)
    return {
      requestId: this.id,
      params,
      traceHeaders: this.traceHeaders,
      promptTokens: promptLength,
      generatedTokens: completions.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0),
      n: params.n,
      maxTokens: maxLength - promptLength,
      finishReasons: completions.map(({ finishReason }) => finishReason ?? 'abort'),
      metrics: this.#takeMetrics(),
    }
  }

  /** Everything so far. With bestOf, a finished request shows the n most likely of its outputs. */
  output(): RequestOutput {
    const output: RequestOutput = {
      requestId: this.id,
      prompt: this.#parts.prompt,
      promptTokenIds: [...this.#parts.promptTokenIds],
      outputs: this.#chosen().map(({ completion }, index) => ({
        ...completion,
        tokenIds: [...completion.tokenIds],
        index,
      })),
      finished: this.finished,
      metrics: this.#takeMetrics(),
    }
    if (this.#promptLogprobs) output.promptLogprobs = [...this.#promptLogprobs]
    return output
  }

  /** Of a finished request: its embedding. Throws where the hidden states are no numbers. */
  embedding(): EmbeddingOutput {
    const { prompt, promptTokenIds, pooled } = this.#parts
    return {
      requestId: this.id,
      prompt,
      promptTokenIds: [...promptTokenIds],
      embedding: pooled!.embedding(promptTokenIds.length),
      metrics: this.#takeMetrics(),
    }
  }

  #takeMetrics(): RequestMetrics {
    if (this.finished) this.#metrics.finishedTime ??= Date.now()
    const { cachedTokens, preemptions } = this.group
    return { ...this.#metrics, cachedTokens, preemptions }
  }

  #chosen(): readonly OutputBuilder[] {
    const { n, bestOf } = this.group.params
    if (bestOf === n || this.group.beams !== null || !this.finished)
      return this.#builders.slice(0, n)
    const score = ({ completion }: OutputBuilder) => completion.cumulativeLogprob ?? -Infinity
    return [...this.#builders].sort((a, b) => score(b) - score(a)).slice(0, n)
  }

  #acceptPooled({ pooled: sums }: StepResult, row: number): void {
    const { pooled } = this.#parts
    if (!pooled || !sums) throw new Error(`request ${this.id} has nothing pooled`)
    const { size } = pooled
    pooled.take(sums.subarray(row * size, (row + 1) * size))
  }

  /** The outputs of a search are known at its end only. */
  #writeBeams(): void {
    const { beams } = this.group
    if (beams === null || this.finished) return
    try {
      writeBeams(beams, this.#builders, this.#parts.readPath)
    } catch (error) {
      this.fail(error)
    }
  }

  /** Ends every output with the error. */
  fail(error: unknown): void {
    this.listener.onError(error)
    for (const builder of this.#builders) builder.finish(FAILED)
  }

  #builderOf(sequence: Sequence): OutputBuilder {
    const builder = this.#builders[sequence.index]
    if (!builder) throw new Error(`request ${this.id} has no sequence ${sequence.index}`)
    return builder
  }
}

/** The request that a group computes for; null once the engine has forgotten it. */
export function requestOf({ owner }: SequenceGroup): Request | null {
  return owner as Request | null
}

/** The requests of a step, each once. */
export function requestsIn({ sequences }: ScheduledStep): ReadonlySet<Request> {
  const requests = sequences.map(({ sequence }) => requestOf(sequence.group))
  return new Set(requests.filter((request) => request !== null))
}

function noNumbers(requestId: string): EngineError {
  return new EngineError(
    'unsupported_model',
    `request ${requestId}: the model's logits are no numbers: some of its numbers overflow their type; ` +
      "dtype and kvCacheDtype 'bfloat16' or 'float32' hold larger ones than 'float16'",
  )
}

function nothingAllowed(requestId: string): EngineError {
  return new EngineError(
    'not_supported',
    `request ${requestId}: no token may follow: the vocabulary cannot write what structuredOutputs asks for, ` +
      'another option forbids it, or its grammar is too ambiguous to follow',
  )
}
