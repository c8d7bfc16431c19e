import { Counter, Histogram } from 'prom-client'
import type { EngineObserver, RequestRecord } from '../../engine/observer.js'
import { FIRST_TOKEN, NEXT_TOKEN, OUTPUTS, REQUEST, STEP_TOKENS, tokenBuckets } from './buckets.js'
import type { Series } from './series.js'

const SECONDS = {
  e2e_request_latency_seconds: 'Seconds from arrival to the last token.',
  request_queue_time_seconds: 'Seconds from arrival to the first step.',
  request_inference_time_seconds: 'Seconds from the first step to the last token.',
  request_prefill_time_seconds: 'Seconds from the first step to the first token.',
  request_decode_time_seconds: 'Seconds from the first token to the last.',
}
const TOKENS = {
  request_prompt_tokens: 'Prompt tokens of a request.',
  request_generation_tokens: 'Tokens drawn for a request.',
  request_max_num_generation_tokens: 'Most tokens drawn for an output of a request.',
  request_params_max_tokens: 'Tokens that a request might draw for an output.',
  request_prefill_kv_computed_tokens: 'Prompt tokens computed, those from the cache left out.',
}

/** A histogram whose labels are set. */
interface Observed {
  observe(value: number): void
}

type Measured = Record<keyof typeof SECONDS | keyof typeof TOKENS, number | null>

/** Histograms and counters of requests, steps and tokens, which an engine is asked to tell of. */
export class RequestMetrics implements EngineObserver {
  readonly #firstToken: Observed
  readonly #nextToken: Observed
  readonly #perToken: Observed
  readonly #stepTokens: Observed
  readonly #outputs: Observed
  readonly #measures: ReadonlyMap<keyof Measured, Observed>
  readonly #ended: Counter
  readonly #labels: Series['labels']

  constructor(series: Series, maxModelLen: number) {
    const { labels, registers } = series
    const histogram = (name: string, help: string, buckets: number[]) => {
      const made = new Histogram({
        ...{ name: `vllm:${name}`, help, buckets, registers },
        labelNames: Object.keys(labels),
      })
      made.zero(labels)
      return made.labels(labels)
    }
    const tokens = tokenBuckets(maxModelLen)
    this.#labels = labels
    this.#firstToken = histogram('time_to_first_token_seconds', 'To the first token.', FIRST_TOKEN)
    this.#nextToken = histogram('inter_token_latency_seconds', 'Between tokens.', NEXT_TOKEN)
    this.#perToken = histogram(
      'request_time_per_output_token_seconds',
      'Mean of a request between tokens.',
      NEXT_TOKEN,
    )
    this.#stepTokens = histogram('iteration_tokens_total', 'Tokens of a step.', STEP_TOKENS)
    this.#outputs = histogram('request_params_n', 'Outputs of a request.', OUTPUTS)
    const measures = [
      ...Object.entries(SECONDS).map(([name, help]) => [name, histogram(name, help, REQUEST)]),
      ...Object.entries(TOKENS).map(([name, help]) => [name, histogram(name, help, tokens)]),
    ]
    this.#measures = new Map(measures as [keyof Measured, Observed][])
    this.#ended = new Counter({
      name: 'vllm:request_success_total',
      help: 'Requests that ended, by the reason.',
      labelNames: [...Object.keys(labels), 'finished_reason'],
      registers,
    })
    for (const reason of ['stop', 'length', 'abort', 'error']) {
      this.#ended.inc({ ...labels, finished_reason: reason }, 0)
    }
  }

  onStep({ tokens }: { readonly tokens: number }): void {
    this.#stepTokens.observe(tokens)
  }

  onFirstToken(seconds: number): void {
    this.#firstToken.observe(seconds)
  }

  onNextToken(seconds: number): void {
    this.#nextToken.observe(seconds)
  }

  onEnd(record: RequestRecord): void {
    const measured = measure(record)
    for (const [name, histogram] of this.#measures) {
      const value = measured[name]
      if (value !== null) histogram.observe(value)
    }
    this.#outputs.observe(record.n)
    const further = record.generatedTokens - record.n
    const { request_decode_time_seconds: decoding } = measured
    if (decoding !== null && further > 0) this.#perToken.observe((decoding * record.n) / further)
    for (const reason of record.finishReasons) {
      this.#ended.inc({ ...this.#labels, finished_reason: reason })
    }
  }
}

function measure({
  metrics,
  promptTokens,
  generatedTokens,
  n,
  maxTokens,
}: RequestRecord): Measured {
  const { arrivalTime, firstScheduledTime, firstTokenTime, finishedTime, cachedTokens } = metrics
  return {
    e2e_request_latency_seconds: between(arrivalTime, finishedTime),
    request_queue_time_seconds: between(arrivalTime, firstScheduledTime),
    request_inference_time_seconds: between(firstScheduledTime, finishedTime),
    request_prefill_time_seconds: between(firstScheduledTime, firstTokenTime),
    request_decode_time_seconds: between(firstTokenTime, finishedTime),
    request_prompt_tokens: promptTokens,
    request_generation_tokens: generatedTokens,
    request_max_num_generation_tokens: Math.ceil(generatedTokens / n),
    request_params_max_tokens: maxTokens,
    request_prefill_kv_computed_tokens: promptTokens - cachedTokens,
  }
}

/** Seconds between two times in milliseconds. */
function between(from: number | null, to: number | null): number | null {
  return from === null || to === null ? null : (to - from) / 1000
}
