import { open, type FileHandle } from 'node:fs/promises'
import { basename } from 'node:path'
import { EngineError } from '../errors.js'
import { isObject } from '../models/fields.js'
import type { Encoding } from './encoded-tensors.js'

/** A tensor as a checkpoint file describes it, checked against the file's length. */
export interface StoredTensor {
  readonly name: string
  readonly file: string
  /** Bytes from the start of the file. */
  readonly offset: number
  /** Bytes. */
  readonly length: number
  /** The format's own name of the element type, such as `BF16`. */
  readonly dtype: string
  readonly shape: readonly number[]
  /** Heads whose rows stand in pairs, as GGUF's Llama has them (gguf-names.ts); absent: none. */
  readonly pairedHeads?: number
  /** Its bytes are codes of this form; absent: elements of `dtype`. */
  readonly encoding?: Encoding
}

const TYPES_BY_BITS = {
  4: ['F4'],
  6: ['F6_E2M3', 'F6_E3M2'],
  8: ['BOOL', 'U8', 'I8', 'F8_E4M3', 'F8_E5M2', 'F8_E8M0', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ'],
  16: ['U16', 'I16', 'F16', 'BF16'],
  32: ['U32', 'I32', 'F32'],
  64: ['U64', 'I64', 'F64', 'C64'],
}
const BITS: ReadonlyMap<string, number> = new Map(
  Object.entries(TYPES_BY_BITS).flatMap(([bits, names]) =>
    names.map((name) => [name, Number(bits)] as const),
  ),
)

const METADATA = '__metadata__'
const LENGTH_BYTES = 8
const LARGEST_HEADER = 100_000_000

/** What the header of a safetensors file says. */
export interface SafetensorsHeader {
  readonly tensors: readonly StoredTensor[]
  /** Texts that its writer left: torchao's say what its tensors are made of. */
  readonly metadata: ReadonlyMap<string, string>
}

/**
 * Reads and checks the header of a safetensors file; the tensors' data stays unread.
 * Throws EngineError `invalid_file` naming the file, the tensor, what was expected and what was found.
 */
export async function readSafetensors(path: string): Promise<SafetensorsHeader> {
  const handle = await open(path)
  try {
    return await readHeader(handle, path)
  } finally {
    await handle.close()
  }
}

async function readHeader(handle: FileHandle, path: string): Promise<SafetensorsHeader> {
  const file = basename(path)
  const { size } = await handle.stat()
  if (size < LENGTH_BYTES)
    throw invalid(file, `expected at least ${LENGTH_BYTES} bytes, found ${size}`)
  const headerLength = Number((await readBytes(handle, 0, LENGTH_BYTES)).readBigUInt64LE())
  if (headerLength > size - LENGTH_BYTES)
    throw invalid(file, `header of ${headerLength} bytes does not fit in a file of ${size} bytes`)
  if (headerLength > LARGEST_HEADER)
    throw invalid(file, `header of ${headerLength} bytes is larger than ${LARGEST_HEADER} bytes`)
  const header = parseHeader(await readBytes(handle, LENGTH_BYTES, headerLength), file)
  const dataStart = LENGTH_BYTES + headerLength
  const tensors = Object.entries(header)
    .filter(([name]) => name !== METADATA)
    .map(([name, entry]) => checkTensor({ path, name, entry, dataStart, fileSize: size }))
  checkCoverage(tensors, file, dataStart, size)
  return { tensors, metadata: textsOf(header[METADATA]) }
}

function textsOf(metadata: unknown): ReadonlyMap<string, string> {
  const entries = isObject(metadata) ? Object.entries(metadata) : []
  return new Map(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'))
}

async function readBytes(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position)
  return buffer.subarray(0, bytesRead)
}

function parseHeader(bytes: Buffer, file: string): Record<string, unknown> {
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw invalid(file, `header is not JSON: ${(error as Error).message}`)
  }
  if (!isObject(header)) throw invalid(file, 'header must be a JSON object')
  return header
}

interface HeaderEntry {
  readonly path: string
  readonly name: string
  readonly entry: unknown
  readonly dataStart: number
  readonly fileSize: number
}

function checkTensor({ path, name, entry, dataStart, fileSize }: HeaderEntry): StoredTensor {
  const refuse = (message: string) => invalid(basename(path), `tensor ${name}: ${message}`)
  const { dtype, shape, data_offsets: range } = isObject(entry) ? entry : {}
  if (typeof dtype !== 'string' || !Array.isArray(shape) || !Array.isArray(range))
    throw refuse('expected dtype, shape and data_offsets')
  const bits = BITS.get(dtype)
  if (bits === undefined) throw refuse(`unknown element type ${dtype}`)
  if (!shape.every(isSize)) throw refuse(`shape ${JSON.stringify(shape)} is not a list of sizes`)
  const [begin, end] = range as unknown[]
  if (range.length !== 2 || !isSize(begin) || !isSize(end) || end < begin)
    throw refuse(`data_offsets ${JSON.stringify(range)} is not a range`)
  const dataLength = fileSize - dataStart
  if (end > dataLength)
    throw refuse(`bytes ${begin} to ${end} lie outside the file's ${dataLength} bytes of data`)
  const wanted = Math.ceil((shape.reduce((product, size) => product * size, 1) * bits) / 8)
  if (end - begin !== wanted)
    throw refuse(`${dtype} ${show(shape)} takes ${wanted} bytes, found ${end - begin}`)
  return { name, file: path, offset: dataStart + begin, length: end - begin, dtype, shape }
}

/** The ranges must follow one another from the header's end to the file's. */
function checkCoverage(
  tensors: readonly StoredTensor[],
  file: string,
  dataStart: number,
  fileSize: number,
): void {
  const inOrder = tensors.toSorted((a, b) => a.offset - b.offset || a.length - b.length)
  let end = dataStart
  let before = 'the header'
  for (const { name, offset, length } of inOrder) {
    const where = `tensor ${name}: starts at byte ${offset - dataStart} of the data`
    if (offset < end) throw invalid(file, `${where}, inside ${before}`)
    if (offset > end)
      throw invalid(file, `${where}, leaving ${offset - end} bytes after ${before} unused`)
    end = offset + length
    before = `tensor ${name}`
  }
  if (end !== fileSize)
    throw invalid(file, `${fileSize - end} bytes after ${before} belong to no tensor`)
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

function show(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`
}

function invalid(file: string, message: string): EngineError {
  return new EngineError('invalid_file', `${file}: ${message}`)
}
