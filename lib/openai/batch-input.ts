import { describe, isRecord, outOfRange, wrongType, type RawOptions } from '../check.js'
import { readLines } from './batch-lines.js'
import { checkBatchEndpoint, type BatchEndpoint } from './batch-request.js'

/** A line of the input that asks for something. */
export interface BatchJob {
  readonly kind: 'job'
  /** 1 for the first line of the file. */
  readonly line: number
  readonly customId: string
  readonly endpoint: BatchEndpoint
  readonly body: unknown
}

/** A line that cannot be answered, and why. */
export interface BadLine {
  readonly kind: 'bad'
  readonly line: number
  readonly customId: string | null
  readonly code: 'invalid_json_line' | 'invalid_request' | 'duplicate_custom_id'
  readonly message: string
}

/**
 * Reads the lines of an OpenAI batch file, one at a time; empty lines are passed over. Where an
 * endpoint is given, lines of another one are bad.
 */
export async function* readBatch(
  path: string,
  endpoint?: BatchEndpoint,
): AsyncGenerator<BatchJob | BadLine, void, undefined> {
  const lineOfId = new Map<string, number>()
  let line = 0
  for await (const text of readLines(path)) {
    line++
    if (text.trim() === '') continue
    const entry = readEntry(text, line, endpoint)
    if (entry.kind === 'bad') {
      yield entry
      continue
    }
    const first = lineOfId.get(entry.customId)
    if (first === undefined) lineOfId.set(entry.customId, line)
    yield first === undefined ? entry : duplicate(entry, first)
  }
}

function readEntry(
  text: string,
  line: number,
  endpoint: BatchEndpoint | undefined,
): BatchJob | BadLine {
  let entry: unknown
  try {
    entry = JSON.parse(line === 1 ? text.replace(/^\uFEFF/, '') : text)
  } catch (error) {
    const message = `line ${line} is not JSON: ${(error as Error).message}`
    return { kind: 'bad', line, customId: null, code: 'invalid_json_line', message }
  }
  const { custom_id: id } = (entry ?? {}) as RawOptions
  const customId = typeof id === 'string' && id !== '' ? id : null
  try {
    return { kind: 'job', line, ...checkEntry(entry, customId, endpoint) }
  } catch (error) {
    const message = `line ${line}: ${(error as Error).message}`
    return { kind: 'bad', line, customId, code: 'invalid_request', message }
  }
}

function checkEntry(entry: unknown, customId: string | null, endpoint: BatchEndpoint | undefined) {
  if (!isRecord(entry)) throw wrongType('request', 'an object', entry)
  const { custom_id: id, method, url, body } = entry
  if (customId === null) throw wrongType('custom_id', 'a string that is not empty', id)
  if (method !== 'POST') throw outOfRange('method', '"POST"', method)
  if (endpoint !== undefined && url !== endpoint) {
    throw outOfRange('url', `${describe(endpoint)}, the batch's endpoint`, url)
  }
  return { customId, endpoint: checkBatchEndpoint('url', url), body }
}

function duplicate({ line, customId }: BatchJob, first: number): BadLine {
  const message = `line ${line}: custom_id ${describe(customId)} is that of line ${first} already`
  return { kind: 'bad', line, customId, code: 'duplicate_custom_id', message }
}
