import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { LLMEngine } from '../../engine/llm-engine.js'
import { runBatch } from '../../openai/batch.js'
import { HttpError } from '../http-error.js'
import { FileStore, checkId, newId, readAll, readJson, seconds, writeJson } from './file-store.js'

type BatchStatus =
  'validating' | 'in_progress' | 'completed' | 'failed' | 'expired' | 'cancelling' | 'cancelled'

/** A batch as OpenAI's API describes it. */
export interface BatchObject {
  readonly id: string
  readonly object: 'batch'
  readonly endpoint: string
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

export interface NewBatch {
  readonly inputFileId: string
  readonly endpoint: string
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
  readonly #running = new Map<string, AbortController>()
  #last: Promise<void> = Promise.resolve()

  constructor(folder: string, engine: LLMEngine, servedModelNames: readonly string[]) {
    this.#folder = folder
    this.#engine = engine
    this.#servedModelNames = servedModelNames
    this.files = new FileStore(folder)
  }

  /** Goes on with batches of an earlier process. */
  async resume(): Promise<void> {
    for (const batch of (await this.list()).toReversed()) {
      if (batch.status === 'cancelling') await this.#change(batch, { status: 'cancelled' })
      else if (!OVER.has(batch.status)) this.#queue(batch.id)
    }
  }

  async create({ inputFileId, endpoint, metadata }: NewBatch): Promise<BatchObject> {
    await this.files.get(inputFileId)
    await mkdir(this.#folder, { recursive: true })
    const created = seconds()
    const batch: BatchObject = {
      ...{ id: newId('batch'), object: 'batch', endpoint, input_file_id: inputFileId },
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
    return (await readJson(this.#pathOf(id), 'batch', id)) as BatchObject
  }

  async list(): Promise<readonly BatchObject[]> {
    return (await readAll(this.#folder, 'batch')) as BatchObject[]
  }

  /** Ends a batch; what is finished stays in its output. */
  async cancel(id: string): Promise<BatchObject> {
    const batch = await this.get(id)
    if (OVER.has(batch.status)) {
      throw new HttpError(400, `batch ${id} is ${batch.status} already`, { code: 'batch_over' })
    }
    this.#running.get(id)?.abort('cancelled')
    return this.#change(batch, { status: 'cancelling' })
  }

  #queue(id: string): void {
    this.#running.set(id, new AbortController())
    this.#last = this.#last.then(() => this.#run(id)).catch(() => undefined)
  }

  async #run(id: string): Promise<void> {
    const cancelled = this.#running.get(id)!.signal
    let batch = await this.get(id)
    const output = batch.output_file_id ?? FileStore.newId()
    const left = Math.max(0, batch.expires_at - seconds())
    const signal = AbortSignal.any([cancelled, AbortSignal.timeout(left * 1000)])
    try {
      batch = await this.#change(batch, {
        ...{ status: 'in_progress', in_progress_at: seconds(), output_file_id: output },
      })
      const { total, finished, failed } = await runBatch(
        this.#engine,
        this.files.pathOf(batch.input_file_id),
        this.files.pathOf(output),
        { signal, servedModelNames: this.#servedModelNames },
      )
      const request_counts = { total, completed: finished - failed, failed }
      await this.files.describe(output, `${id}_output.jsonl`, 'batch_output')
      await this.#change(batch, { status: 'completed', completed_at: seconds(), request_counts })
    } catch (error) {
      if (!this.#engine.alive) return // the next process goes on with it
      const status = cancelled.aborted ? 'cancelled' : signal.aborted ? 'expired' : 'failed'
      const message = error instanceof Error ? error.message : String(error)
      const errors = { object: 'list' as const, data: [{ code: 'batch_failed', message }] }
      await this.#change(batch, { status, errors: status === 'failed' ? errors : null })
    } finally {
      this.#running.delete(id)
    }
  }

  async #change(batch: BatchObject, change: Partial<BatchObject>): Promise<BatchObject> {
    const changed = { ...batch, ...change }
    await writeJson(this.#pathOf(batch.id), changed)
    return changed
  }

  #pathOf(id: string): string {
    return join(this.#folder, `${checkId('batch', id)}.json`)
  }
}
