import type { Dataset } from '../data/lengths.js'
import { lengthSamplers } from './length-sampler.js'
import { Random } from './random.js'

/** The longest sequence that the models of the paper accept, in tokens. */
export const MODEL_LENGTH = 2048

/** One request of a trace. Its output has exactly this length: nothing depends on the model's words. */
export interface TraceRequest {
  /** Arrival in seconds. */
  readonly time: number
  /** Tokens of the prompt. */
  readonly input: number
  /** Tokens of the output. */
  output: number
}

export interface TraceOptions {
  /** Requests a second, on average. */
  readonly rate: number
  /** Seconds in which requests arrive. */
  readonly duration: number
  /** Default 0. */
  readonly seed?: number
}

const SWAP_TRIES = 5000

/**
 * Requests of a Poisson process with lengths as in a data set, input and output independent.
 * (The paper's authors count arrivals in steps of 10 ms; iterations take longer than that.)
 */
export function datasetTrace(dataset: Dataset, options: TraceOptions): TraceRequest[] {
  const random = new Random((options.seed ?? 0) + 17)
  const { input, output } = lengthSamplers[dataset]
  const trace = poisson(random, options, (time) => ({
    time,
    input: input.draw(random),
    output: output.draw(random),
  }))
  keepWithinModel(trace, random)
  return trace
}

/** Share of the chatbot's prompts that fill the whole window of 1024 tokens: not in the paper, a guess. */
const FULL_WINDOWS = 0.6
const WINDOW = 1024

/** Chat turns whose prompt is the last 1024 tokens of the talk, as far as there are so many. */
export function chatbotTrace(options: TraceOptions): TraceRequest[] {
  const random = new Random(11)
  const { input, output } = lengthSamplers.sharegpt
  return poisson(random, options, (time) => ({
    time,
    input:
      random.next() < FULL_WINDOWS
        ? WINDOW
        : Math.min(WINDOW, input.draw(random) + random.below(800)),
    output: Math.min(WINDOW - 1, output.draw(random)),
  }))
}

/** Mean tokens of a sentence and of its translation: not in the paper, a guess. */
const SENTENCE = 30
const SENTENCE_VARIATION = 0.5

/** Sentences to translate; `input` is the sentence without the shared instruction before it. */
export function translationTrace(options: TraceOptions): TraceRequest[] {
  const random = new Random(9)
  return poisson(random, options, (time) => ({
    time,
    input: random.lognormalLength(SENTENCE, SENTENCE_VARIATION),
    output: random.lognormalLength(SENTENCE, SENTENCE_VARIATION),
  }))
}

function poisson(
  random: Random,
  { rate, duration }: TraceOptions,
  request: (time: number) => TraceRequest,
): TraceRequest[] {
  const trace: TraceRequest[] = []
  for (let time = random.gap(rate); time <= duration; time += random.gap(rate)) {
    trace.push(request(time))
  }
  return trace
}

/** Exchanges outputs where prompt and output do not fit the model, which leaves both means as they are. */
function keepWithinModel(trace: readonly TraceRequest[], random: Random): void {
  const fits = (a: TraceRequest, b: TraceRequest) => a.input + b.output < MODEL_LENGTH
  for (const request of trace) {
    for (let i = 0; i < SWAP_TRIES && !fits(request, request); i++) {
      const other = trace[random.below(trace.length)]!
      if (!fits(request, other) || !fits(other, request)) continue
      ;[request.output, other.output] = [other.output, request.output]
    }
    if (!fits(request, request)) request.output = Math.max(1, MODEL_LENGTH - 1 - request.input)
  }
}
