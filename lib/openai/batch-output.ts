import { open, type FileHandle } from 'node:fs/promises'
import { EngineError } from '../errors.js'
import type { BadLine, BatchJob } from './batch-input.js'
import { readLines } from './batch-lines.js'

/** A line of the output, in the shape of OpenAI's batch results. */
export interface BatchResult {
  readonly id: string
  readonly custom_id: string | null
  readonly response: {
    readonly status_code: number
    readonly request_id: string
    readonly body: unknown
  } | null
  /** Why the line was no request; an error of the request itself is in `response`. */
  readonly error: { readonly code: string; readonly message: string } | null
}

/** The result of a line that is no request. */
export function badLineResult({ line, customId, code, message }: BadLine): BatchResult {
  return { id: resultId(line), custom_id: customId, response: null, error: { code, message } }
}

/** The result of a request that was answered, or refused with a status above 200. */
export function jobResult(
  { line, customId }: BatchJob,
  status: number,
  body: unknown,
): BatchResult {
  const response = { status_code: status, request_id: `req_${line}`, body }
  return { id: resultId(line), custom_id: customId, response, error: null }
}

const ID_PREFIX = 'batch_req_'
/** How every line of an output begins; one cut short is a beginning of this, or begins with it. */
const LINE_START = `{"id":"${ID_PREFIX}`

function resultId(line: number): string {
  return `${ID_PREFIX}${line}`
}

/**
 * The file that results are appended to as they come. What an earlier run wrote stays and is not
 * done again; a last line that was cut short is removed.
 */
export class BatchOutput {
  readonly #path: string
  readonly #file: FileHandle
  /** Requests that are answered, by custom id. */
  readonly #answered = new Set<string>()
  /** Lines that were no requests, by result id. */
  readonly #refused = new Set<string>()
  #appended: Promise<void> = Promise.resolve()

  private constructor(path: string, file: FileHandle) {
    this.#path = path
    this.#file = file
  }

  /**
   * Opens a file of results, made if there is none. Throws EngineError `invalid_file` when it is no
   * file, or holds anything else, which is then left as it is.
   */
  static async open(path: string): Promise<BatchOutput> {
    const output = new BatchOutput(path, await open(path, 'a'))
    try {
      const stats = await output.#file.stat()
      if (!stats.isFile()) throw invalid(`${path} is no file, which a rerun could read`)
      await output.#file.truncate(await output.#readBack())
    } catch (error) {
      await output.#file.close()
      throw error
    }
    return output
  }

  /** Whether the file holds the result of this line. */
  holds(entry: BatchJob | BadLine): boolean {
    return entry.kind === 'job'
      ? this.#answered.has(entry.customId)
      : this.#refused.has(resultId(entry.line))
  }

  /** Appends a result; lines never mix. */
  append(result: BatchResult): Promise<void> {
    const line = `${JSON.stringify(result)}\n`
    this.#appended = this.#appended.then(() => this.#file.appendFile(line))
    return this.#appended
  }

  /** Closes the file once all is written; never rejects for a write that `append` reported. */
  async close(): Promise<void> {
    await this.#appended.catch(() => undefined)
    await this.#file.close()
  }

  /** Notes what the file holds; gives the bytes of its whole lines. */
  async #readBack(): Promise<number> {
    let bytes = 0
    let number = 0
    for await (const line of readLines(this.#path)) {
      number++
      if (!line.endsWith('\n')) {
        if (!line.startsWith(LINE_START.slice(0, line.length))) throw this.#foreign(number)
        break
      }
      this.#note(line, number)
      bytes += Buffer.byteLength(line)
    }
    return bytes
  }

  #note(line: string, number: number): void {
    if (!line.startsWith(LINE_START)) throw this.#foreign(number)
    let result: BatchResult
    try {
      result = JSON.parse(line) as BatchResult
    } catch {
      throw this.#foreign(number)
    }
    // A bad line's custom id may be that of a good one.
    if (result.response === null || result.custom_id === null) this.#refused.add(result.id)
    else this.#answered.add(result.custom_id)
  }

  #foreign(number: number): EngineError {
    return invalid(
      `${this.#path}: line ${number} is no result of a batch; name a new file, or remove this one`,
    )
  }
}

function invalid(message: string): EngineError {
  return new EngineError('invalid_file', message)
}
