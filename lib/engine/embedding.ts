import { checkBoolean, checkChoice, checkInteger, checkOptions } from '../check.js'
import { EngineError } from '../errors.js'
import type { SamplingParams } from '../sampling-params.js'
import type { Pooling } from '../scheduling/sequence.js'
import { CALL_NAMES, checkCallOptions, type CallOptions } from './call-options.js'
import { checkTruncation } from './check-sampling.js'
import type { RequestMetrics } from './outputs.js'

/** How the hidden states of a prompt become its embedding. */
export interface EmbedOptions extends CallOptions {
  /** The last token's hidden state, or the mean of all. Default 'last', as most decoders are trained for. */
  readonly pooling?: Pooling
  /** Scale to length 1, so that a dot product is a cosine. Default true. */
  readonly normalize?: boolean
  /** Keep the first so many numbers, which models that were trained so (Matryoshka) allow. Default all. */
  readonly dimensions?: number
  /** Keep the last so many tokens of an input; −1: as many as the model takes. Default: all. */
  readonly truncatePromptTokens?: number
}

/** An embedded input. */
export interface EmbeddingOutput {
  requestId: string
  /** The input's text; null when it came as token ids. */
  prompt: string | null
  promptTokenIds: number[]
  embedding: Float32Array
  metrics: RequestMetrics
}

/** The options of a call, checked. */
export interface CheckedEmbedding {
  readonly pooling: Pooling
  readonly normalize: boolean
  readonly dimensions: number
  /** null: all of the input; −1: what the model takes */
  readonly truncatePromptTokens: number | null
  /** Numbers of a hidden state. */
  readonly size: number
}

const POOLINGS: readonly Pooling[] = ['mean', 'last']
const KNOWN: ReadonlySet<string> = new Set([
  ...['pooling', 'normalize', 'dimensions', 'truncatePromptTokens', ...CALL_NAMES],
])

/** Checks what an embedding is asked for of a model whose hidden states have `size` numbers; null: none are pooled. */
export function checkEmbedding(options: EmbedOptions, size: number | null): CheckedEmbedding {
  const raw = checkOptions(options, 'embed option', KNOWN)
  const { pooling, normalize, dimensions, truncatePromptTokens, ...call } = raw
  checkCallOptions(call)
  if (size === null)
    throw new EngineError('not_supported', 'embed: the model has no hidden states to pool')
  return {
    pooling: checkChoice('pooling', pooling ?? 'last', POOLINGS),
    normalize: checkBoolean('normalize', normalize ?? true),
    dimensions: checkInteger('dimensions', dimensions ?? size, { min: 1, max: size }),
    truncatePromptTokens:
      truncatePromptTokens === undefined
        ? null
        : checkTruncation('truncatePromptTokens', truncatePromptTokens),
    size,
  }
}

/** What a prompt is for: tokens to draw, or an embedding. */
export type Asked = SamplingParams | PooledPrompt

/** A prompt's hidden states while they are pooled, a part of the prompt after the other. */
export class PooledPrompt {
  #sum: Float32Array | null = null
  readonly #options: CheckedEmbedding

  constructor(options: CheckedEmbedding) {
    this.#options = options
  }

  get pooling(): Pooling {
    return this.#options.pooling
  }

  get truncatePromptTokens(): number | null {
    return this.#options.truncatePromptTokens
  }

  get size(): number {
    return this.#options.size
  }

  /** The sum of the hidden states so far; null: there is none. */
  get sum(): Float32Array | null {
    return this.#sum
  }

  /** Takes the sum as a further part of the prompt has left it. The array is copied. */
  take(sum: Float32Array): void {
    this.#sum = sum.slice()
  }

  /**
   * The embedding of a prompt of so many tokens. Throws EngineError `unsupported_model` where the hidden
   * states are no numbers.
   */
  embedding(tokens: number): Float32Array {
    const { pooling, normalize, dimensions } = this.#options
    const row = Float64Array.from(this.#sum!.subarray(0, dimensions))
    const length = Math.hypot(...row)
    if (!Number.isFinite(length)) throw noNumbers()
    const divisor = normalize ? length || 1 : pooling === 'mean' ? tokens : 1
    return Float32Array.from(row, (x) => x / divisor)
  }
}

function noNumbers(): EngineError {
  return new EngineError(
    'unsupported_model',
    "the model's hidden states are no numbers: some overflow their type; dtype and kvCacheDtype " +
      "'bfloat16' or 'float32' hold larger ones than 'float16'",
  )
}
