import { setMaxListeners } from 'node:events'
import { checkArray, checkOptions, checkText, wrongType } from '../check.js'
import { checkCallOptions } from '../engine/call-options.js'
import { EngineError } from '../errors.js'
import { readBatch, type BadLine, type BatchJob } from './batch-input.js'
import { countLines } from './batch-lines.js'
import { BatchOutput, badLineResult, jobResult, type BatchResult } from './batch-output.js'
import { ProgressCounter, type BatchProgress } from './batch-progress.js'
import type { LLMEngine } from '../engine/llm-engine.js'
import {
  checkBatchEndpoint,
  parseBatchRequest,
  type BatchAnsweringEngine,
  type BatchEndpoint,
} from './batch-request.js'
import { openAiError } from './errors.js'
import { ServedModels, type ServingEngine } from './served-models.js'

/** What a batch needs of an engine. */
export type BatchEngine = BatchAnsweringEngine & ServingEngine & Pick<LLMEngine, 'config' | 'stats'>

export interface BatchOptions {
  /** Told after each result, and once a second. What it throws ends the run. */
  readonly onProgress?: (progress: BatchProgress) => void
  /** Ends the run: what is finished is in the file, and the call rejects with `signal.reason`. */
  readonly signal?: AbortSignal
  /** Names that a request may give as its `model`, beside those of adapters. Default: the engine's own name of it. */
  readonly servedModelNames?: readonly string[]
  /** The only `url` that requests may have. Default: each may have its own. */
  readonly endpoint?: BatchEndpoint
}

const NAMES: ReadonlySet<string> = new Set<keyof BatchOptions>([
  ...(['onProgress', 'signal', 'servedModelNames', 'endpoint'] as const),
])

/** Milliseconds between reports while no request finishes. */
const REPORT_INTERVAL = 1000

/**
 * Answers the requests of an OpenAI batch file, and appends each result to a file when it is
 * finished. A line that is no request, and a request that is refused, become results with an error.
 * Run again with the same files, it goes on where it was interrupted, be it by the end of the
 * process: requests with a result are passed over. The input is read as the work goes on, at most
 * twice `maxNumSeqs` requests ahead. Resolves to the final progress.
 *
 * Throws EngineError `invalid_file` when the output holds anything but results, the engine's own error
 * when it is dead or closed, and TypeError or RangeError for a wrong option.
 *
 * @example
 * const { finished, failed } = await runBatch(engine, 'requests.jsonl', 'results.jsonl', {
 *   onProgress: ({ finished, total }) => console.log(`${finished} of ${total}`),
 * })
 */
export async function runBatch(
  engine: BatchEngine,
  inputPath: string,
  outputPath: string,
  options: BatchOptions = {},
): Promise<BatchProgress> {
  checkBatchOptions(options)
  options.signal?.throwIfAborted()
  const total = await countLines(inputPath)
  const output = await BatchOutput.open(outputPath)
  const run = new BatchRun(engine, output, total, options)
  const timer = setInterval(() => run.reportMeanwhile(), REPORT_INTERVAL).unref()
  try {
    await run.answerAll(readBatch(inputPath, options.endpoint), 2 * engine.config.maxNumSeqs)
  } finally {
    clearInterval(timer)
    await output.close()
  }
  return run.report()
}

function checkBatchOptions(options: BatchOptions): void {
  const raw = checkOptions(options, 'batch option', NAMES)
  const { onProgress, servedModelNames, endpoint, ...call } = raw
  checkCallOptions(call)
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw wrongType('onProgress', 'a function', onProgress)
  if (servedModelNames !== undefined) checkArray('servedModelNames', servedModelNames, checkText)
  if (endpoint !== undefined) checkBatchEndpoint('endpoint', endpoint)
}

class BatchRun {
  readonly #engine: BatchEngine
  readonly #output: BatchOutput
  readonly #progress: ProgressCounter
  readonly #onProgress: ((progress: BatchProgress) => void) | undefined
  readonly #models: ServedModels
  readonly #failure = new AbortController()
  readonly #signal: AbortSignal

  constructor(engine: BatchEngine, output: BatchOutput, total: number, options: BatchOptions) {
    this.#engine = engine
    this.#output = output
    this.#progress = new ProgressCounter(total, () => engine.stats())
    this.#onProgress = options.onProgress
    this.#models = new ServedModels(engine, options.servedModelNames)
    const { signal } = this.#failure
    this.#signal = options.signal ? AbortSignal.any([options.signal, signal]) : signal
    setMaxListeners(0, this.#signal)
  }

  report(): BatchProgress {
    const progress = this.#progress.read()
    this.#onProgress?.(progress)
    return progress
  }

  /** While nobody awaits a report, what it throws ends the run. */
  reportMeanwhile(): void {
    try {
      this.report()
    } catch (error) {
      this.#failure.abort(error)
    }
  }

  /** Answers all entries, `width` of them at once. The first failure ends the others. */
  async answerAll(entries: AsyncIterable<BatchJob | BadLine>, width: number): Promise<void> {
    const work = async (): Promise<void> => {
      try {
        for await (const entry of entries) await this.#answerEntry(entry)
      } catch (error) {
        this.#failure.abort(error)
      }
    }
    await Promise.all(Array.from({ length: width }, work))
    this.#signal.throwIfAborted()
  }

  async #answerEntry(entry: BatchJob | BadLine): Promise<void> {
    this.#signal.throwIfAborted()
    if (this.#output.holds(entry)) {
      this.#progress.addSkipped()
      return
    }
    const result = entry.kind === 'job' ? await this.#answer(entry) : badLineResult(entry)
    await this.#output.append(result)
    this.#progress.addDone({ failed: result.response?.status_code !== 200 })
    this.report()
  }

  async #answer(job: BatchJob): Promise<BatchResult> {
    try {
      const request = parseBatchRequest(job.endpoint, job.body)
      const { name, call } = this.#models.find(request.model)
      const options = { signal: this.#signal, ...call }
      return jobResult(job, 200, await request.answer(this.#engine, name, options))
    } catch (error) {
      if (this.#signal.aborted || isFatal(error)) throw error
      const { status, body } = openAiError(error)
      return jobResult(job, status, body)
    }
  }
}

/** No later request would fare better: the run ends, and a rerun goes on from here. */
function isFatal(error: unknown): boolean {
  return error instanceof EngineError && ['engine_dead', 'closed', 'busy'].includes(error.code)
}
