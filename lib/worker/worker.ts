import type { Worker } from 'bullmq'
import { checkArray, checkInteger, checkOptions, checkText } from '../check.js'
import type { LLMEngine } from '../engine/llm-engine.js'
import { EngineError } from '../errors.js'
import { ServedModels } from '../openai/served-models.js'
import { answerJob } from './jobs.js'

/** How a worker takes jobs. */
export interface WorkerOptions {
  /** Redis, as redis://[user:password@]host:port[/database]. Default redis://127.0.0.1:6379. */
  readonly redis?: string
  /** The queue's name. Default 'octavo'. */
  readonly queue?: string
  /** Names that a request may give as its `model`, beside those of adapters. Default: the engine's own name of it. */
  readonly servedModelNames?: readonly string[]
  /** Jobs at once. Default: half as many again as run at once, so that some always wait. */
  readonly concurrency?: number
  /**
   * Milliseconds after which a job of a worker that died is given to another. It is renewed while the
   * worker lives. Default 30,000.
   */
  readonly lockDuration?: number
  /** Told of failures that belong to no job, such as a lost connection. Default: console.error. */
  readonly onError?: (error: Error) => void
}

/** A worker that takes jobs. */
export interface JobWorker {
  /** Takes no more jobs; resolves when those under way are done. The engine stays open. */
  close(): Promise<void>
}

const NAMES: ReadonlySet<string> = new Set<keyof WorkerOptions>([
  ...(['redis', 'queue', 'servedModelNames', 'concurrency', 'lockDuration', 'onError'] as const),
])
/** A job that was begun is finished. */
const NEVER = new AbortController().signal
/** Workers that may die over one job before it counts as failed. */
const MAX_DEATHS = 10

/**
 * Answers the jobs of a BullMQ queue: `{ url, body }` as in an OpenAI batch file, or `{ requests: [ … ] }`.
 * An answer is the job's return value. A request that is refused fails its job for good; other failures
 * are retried as the job's `attempts` say. A job whose worker dies is given to another; its answer is
 * stored once, as only the holder of its lock can store one. Throws EngineError `not_supported` without
 * the package bullmq.
 *
 * @example
 * const worker = await startWorker(engine, { redis: 'redis://127.0.0.1:6379' })
 * await worker.close()
 */
export async function startWorker(
  engine: LLMEngine,
  options: WorkerOptions = {},
): Promise<JobWorker> {
  const { redis, queue, concurrency, lockDuration, onError, ...others } =
    resolveWorkerOptions(options)
  const models = new ServedModels(engine, others.servedModelNames)
  const { Worker, UnrecoverableError } = await loadBullMq()
  const worker: Worker = new Worker(
    queue,
    async (job) => {
      try {
        return await answerJob(engine, job.data, {
          ...{ models, signal: NEVER },
          onProgress: (percent) => job.updateProgress(percent),
        })
      } catch (error) {
        if (isRefusal(error)) throw new UnrecoverableError((error as Error).message)
        throw error
      }
    },
    {
      connection: { url: redis },
      concurrency: concurrency ?? defaultConcurrency(engine),
      lockDuration,
      stalledInterval: lockDuration,
      maxStalledCount: MAX_DEATHS,
    },
  )
  worker.on('error', onError)
  await worker.waitUntilReady()
  return { close: () => worker.close() }
}

/** Fills in defaults, but for `concurrency`. Throws TypeError or RangeError naming the option. */
export function resolveWorkerOptions(options: WorkerOptions) {
  const raw = checkOptions(options, 'worker option', NAMES)
  const {
    redis = 'redis://127.0.0.1:6379',
    queue = 'octavo',
    servedModelNames,
    concurrency,
    lockDuration,
  } = raw
  return {
    redis: checkText('redis', redis),
    queue: checkText('queue', queue),
    servedModelNames:
      servedModelNames === undefined
        ? null
        : checkArray('servedModelNames', servedModelNames, checkText),
    concurrency:
      concurrency === undefined ? null : checkInteger('concurrency', concurrency, { min: 1 }),
    lockDuration: checkInteger('lockDuration', lockDuration ?? 30_000, { min: 100 }),
    onError: options.onError ?? ((error: Error) => console.error(error)),
  }
}

function defaultConcurrency({ config }: LLMEngine): number {
  return Math.ceil(config.maxNumSeqs * 1.5)
}

/** Misuse does not become better by trying again. */
function isRefusal(error: unknown): boolean {
  const unsupported = error instanceof EngineError && error.code === 'not_supported'
  return unsupported || error instanceof TypeError || error instanceof RangeError
}

async function loadBullMq() {
  try {
    return await import('bullmq')
  } catch (cause) {
    throw new EngineError('not_supported', 'a worker needs BullMQ: npm install bullmq ioredis', {
      cause,
    })
  }
}
