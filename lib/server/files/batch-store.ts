import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { LLMEngine } from '../../engine/llm-engine.js'
import { runBatch } from '../../openai/batch.js'
import { newId } from '../../new-id.js'
import type { BatchEndpoint } from '../../openai/batch-request.js'
import { HttpError } from '../http-error.js'
import { FileStore, checkId, readAll, readJson, seconds, writeJson } from './file-store.js'

type BatchStatus =
  'validating' | 'in_progress' | 'completed' | 'failed' | 'expired' | 'cancelling' | 'cancelled'

/** A batch as OpenAI's API describes it. */
export interface BatchObject {
  readonly id: string
  readonly object: 'batch'
  readonly endpoint: BatchEndpoint
  readonly input_file_id: string
  readonly completion_window: string
  readonly created_at: number
  readonly expires_at: number
  readonly metadata: unknown
  readonly status: BatchStatus
  readonly request_counts: {
    readonly total: number
    readonly completed: number
    readonly failed: number
  }
  /** Results and refusals alike. */
  readonly output_file_id: string | null
  readonly error_file_id: null
  readonly errors: { readonly object: 'list'; readonly data: readonly object[] } | null
  readonly in_progress_at: number | null
  readonly completed_at: number | null
}

/** A batch that runs, or waits for its turn. */
interface Run {
  readonly cancel: AbortController
  /** null until the first report. */
  counts: BatchObject['request_counts'] | null
}

export interface NewBatch {
  readonly inputFileId: string
  readonly endpoint: BatchEndpoint
  readonly metadata: unknown
}

const DAY = 24 * 3600
const OVER: ReadonlySet<BatchStatus> = new Set(['completed', 'failed', 'expired', 'cancelled'])

/**
 * Batches over files on disk, one after another. What a process did not finish, the next one goes on
 * with: the results that are written are not computed again.
 */
export class BatchStore {
  readonly files: FileStore
  readonly #folder: string
  readonly #engine: LLMEngine
  readonly #servedModelNames: readonly string[]
  readonly #running = new Map<string, Run>()
  #last: Promise<void> = Promise.resolve()
  #changed: Promise<unknown> = Promise.resolve()

  constructor(folder: string, engine: LLMEngine, servedModelNames: readonly string[]) {
    this.#folder = folder
    this.#engine = engine
    this.#servedModelNames = servedModelNames
    this.files = new FileStore(folder)
  }

  /** Goes on with batches of an earlier process. */
  async resume(): Promise<void> {
    for (const batch of (await this.list()).toReversed()) {
      if (batch.status === 'cancelling') await this.#change(batch.id, { status: 'cancelled' })
      else if (!OVER.has(batch.status)) this.#queue(batch.id)
    }
  }

  async create({ inputFileId, endpoint, metadata }: NewBatch): Promise<BatchObject> {
    await this.files.get(inputFileId)
    await mkdir(this.#folder, { recursive: true })
    const created = seconds()
    const batch: BatchObject = {
      ...{ id: newId('batch-'), object: 'batch', endpoint, input_file_id: inputFileId },
      ...{ completion_window: '24h', created_at: created, expires_at: created + DAY, metadata },
      status: 'validating',
      request_counts: { total: 0, completed: 0, failed: 0 },
      ...{ output_file_id: null, error_file_id: null, errors: null },
      ...{ in_progress_at: null, completed_at: null },
    }
    await writeJson(this.#pathOf(batch.id), batch)
    this.#queue(batch.id)
    return batch
  }

  /** Throws HttpError 404 for a batch that there is not. */
  async get(id: string): Promise<BatchObject> {
    return this.#counted((await readJson(this.#pathOf(id), 'batch', id)) as BatchObject)
  }

  async list(): Promise<readonly BatchObject[]> {
    const batches = (await readAll(this.#folder, 'batch')) as BatchObject[]
    return batches.map((batch) => this.#counted(batch))
  }

  /** Ends a batch; what is finished stays in its output. */
  async cancel(id: string): Promise<BatchObject> {
    const batch = await this.get(id)
    if (OVER.has(batch.status)) {
      throw new HttpError(400, `batch ${id} is ${batch.status} already`, { code: 'batch_over' })
    }
    this.#running.get(id)?.cancel.abort('cancelled')
    return this.#change(id, { status: 'cancelling' })
  }

  #queue(id: string): void {
    const run: Run = { cancel: new AbortController(), counts: null }
    this.#running.set(id, run)
    this.#last = this.#last
      .then(() => this.#run(id, run))
      .catch(() => undefined)
      .finally(() => this.#running.delete(id))
  }

  async #run(id: string, run: Run): Promise<void> {
    const cancelled = run.cancel.signal
    const batch = await this.get(id)
    const output = batch.output_file_id ?? FileStore.newId()
    const left = Math.max(0, batch.expires_at - seconds())
    const signal = AbortSignal.any([cancelled, AbortSignal.timeout(left * 1000)])
    let end: Partial<BatchObject>
    try {
      await this.#change(id, {
        ...{ status: 'in_progress', in_progress_at: seconds(), output_file_id: output },
      })
      await runBatch(
        this.#engine,
        this.files.pathOf(batch.input_file_id),
        this.files.pathOf(output),
        {
          ...{ signal, endpoint: batch.endpoint, servedModelNames: this.#servedModelNames },
          onProgress: ({ total, finished, failed }) => {
            run.counts = { total, completed: finished - failed, failed }
          },
        },
      )
      end = { status: 'completed', completed_at: seconds() }
    } catch (error) {
      if (!this.#engine.alive) return // the next process goes on with it
      end = signal.aborted ? { status: cancelled.aborted ? 'cancelled' : 'expired' } : failed(error)
    }
    const kept = await this.files.describe(output, `${id}_output.jsonl`, 'batch_output')
    await this.#change(id, { ...end, output_file_id: kept ? output : null })
  }

  /** With the counts of its run, as they are now. */
  #counted(batch: BatchObject): BatchObject {
    const counts = this.#running.get(batch.id)?.counts ?? null
    return counts === null ? batch : { ...batch, request_counts: counts }
  }

  /** Changes are made one after another; a batch that is over stays as it is. */
  #change(id: string, change: Partial<BatchObject>): Promise<BatchObject> {
    const changed = this.#changed.then(async () => {
      const batch = await this.get(id)
      if (OVER.has(batch.status)) return batch
      const after = { ...batch, ...change }
      await writeJson(this.#pathOf(id), after)
      return after
    })
    this.#changed = changed.catch(() => undefined)
    return changed
  }

  #pathOf(id: string): string {
    return join(this.#folder, `${checkId('batch', id)}.json`)
  }
}

function failed(error: unknown): Partial<BatchObject> {
  const message = error instanceof Error ? error.message : String(error)
  return { status: 'failed', errors: { object: 'list', data: [{ code: 'batch_failed', message }] } }
}
