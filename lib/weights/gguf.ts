import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { EngineError } from '../errors.js'
import { Fields } from '../models/fields.js'
import { EndOfFile, GgufCursor } from './gguf-cursor.js'
import { ggmlType } from './ggml-types.js'
import type { StoredTensor } from './safetensors.js'

export type GgufValue = number | boolean | string | readonly (number | boolean | string)[]

/** A GGUF file's header: its metadata and where its tensors lie. Their data is unread. */
export interface GgufFile {
  /** Absolute or as it was named. */
  readonly path: string
  readonly metadata: ReadonlyMap<string, GgufValue>
  /** Under the file's own names; shapes have the contiguous dimension last, as checkpoints' do. */
  readonly tensors: readonly StoredTensor[]
}

/** The metadata as fields with types, whose errors name the file and the key. */
export function metadataOf({ path, metadata }: GgufFile): Fields {
  return new Fields(Object.fromEntries(metadata), basename(path))
}

const MAGIC = 'GGUF'
const DEFAULT_ALIGNMENT = 32
const MOST_DIMENSIONS = 4
/** A key and a tensor's entry take at least so many bytes: a bound on how many a file can hold. */
const LEAST_KEY_BYTES = 13
const LEAST_TENSOR_BYTES = 32

/**
 * Reads and checks the header of a GGUF file of version 2 or 3.
 * Throws EngineError `invalid_file` naming the file and the field, what was expected and what was
 * found, and `unsupported_model` for another version or a big-endian file.
 *
 * @example
 * const { metadata, tensors } = await readGguf('model-q4_1.gguf')
 * metadata.get('general.architecture') // 'llama'
 */
export async function readGguf(path: string): Promise<GgufFile> {
  const { size } = await stat(path)
  const cursor = new GgufCursor(path, size)
  try {
    return new HeaderReader(cursor, path, size).read()
  } finally {
    cursor.close()
  }
}

class HeaderReader {
  readonly #cursor: GgufCursor
  readonly #path: string
  readonly #size: number
  /** What is being read, for errors. */
  #field = 'header'

  constructor(cursor: GgufCursor, path: string, size: number) {
    this.#cursor = cursor
    this.#path = path
    this.#size = size
  }

  read(): GgufFile {
    try {
      return this.#header()
    } catch (error) {
      if (error instanceof EndOfFile) throw this.#invalid(`the file ends within it`)
      throw error
    }
  }

  #header(): GgufFile {
    this.#checkMagic()
    const tensorCount = this.#count('tensor count', LEAST_TENSOR_BYTES)
    const keyCount = this.#count('metadata count', LEAST_KEY_BYTES)
    const metadata = new Map<string, GgufValue>()
    for (let i = 0; i < keyCount; i++) this.#readKey(metadata, i)
    const tensors: StoredTensor[] = []
    for (let i = 0; i < tensorCount; i++) tensors.push(this.#tensor(i))
    return {
      path: this.#path,
      metadata,
      tensors: this.#place(tensors, this.#alignment(metadata)),
    }
  }

  #checkMagic(): void {
    const magic = this.#cursor.text(4)
    if (magic !== MAGIC) throw this.#invalid(`expected ${MAGIC}, found ${JSON.stringify(magic)}`)
    this.#field = 'version'
    const version = this.#cursor.uint32()
    if (version !== 2 && version !== 3)
      throw new EngineError(
        'unsupported_model',
        `${basename(this.#path)}: GGUF version ${version} is not supported; supported are 2 and 3, little-endian`,
      )
  }

  #readKey(metadata: Map<string, GgufValue>, index: number): void {
    this.#field = `metadata key ${index}`
    const key = this.#string()
    this.#field = `metadata ${JSON.stringify(key)}`
    if (metadata.has(key)) throw this.#invalid('it is there twice')
    metadata.set(key, this.#value(this.#cursor.uint32()))
  }

  #value(type: number): GgufValue {
    if (type !== ARRAY) return this.#scalar(type)()
    const itemType = this.#cursor.uint32()
    const read = this.#scalar(itemType)
    const length = this.#count(this.#field, itemType === STRING ? 8 : SCALARS[itemType]!.bytes)
    const values = new Array<number | boolean | string>(length)
    for (let i = 0; i < length; i++) values[i] = read()
    return values
  }

  #scalar(type: number): () => number | boolean | string {
    if (type === STRING) return () => this.#string()
    const scalar = SCALARS[type]
    if (!scalar) throw this.#invalid(`value type ${type} is not known`)
    return () => scalar.read(this.#cursor)
  }

  #string(): string {
    const bytes = this.#cursor.uint64()
    if (bytes > this.#cursor.remaining)
      throw this.#invalid(`a string of ${bytes} bytes does not fit in a file of ${this.#size}`)
    return this.#cursor.text(bytes)
  }

  /** A number of things that take at least `least` bytes each. */
  #count(field: string, least: number): number {
    this.#field = field
    const count = this.#cursor.uint64()
    if (count * least > this.#cursor.remaining)
      throw this.#invalid(`${count} entries do not fit in a file of ${this.#size} bytes`)
    return count
  }

  #alignment(metadata: ReadonlyMap<string, GgufValue>): number {
    const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT
    this.#field = 'metadata "general.alignment"'
    const fits = typeof alignment === 'number' && alignment >= 1 && alignment <= 2 ** 20
    if (!fits || !Number.isInteger(Math.log2(alignment)))
      throw this.#invalid(`expected a power of two, found ${JSON.stringify(alignment)}`)
    return alignment
  }

  /** A tensor whose offset still counts from the start of the data. */
  #tensor(index: number): StoredTensor {
    this.#field = `tensor ${index}`
    const name = this.#string()
    this.#field = `tensor ${name}`
    const rank = this.#cursor.uint32()
    if (rank < 1 || rank > MOST_DIMENSIONS)
      throw this.#invalid(`expected 1 to ${MOST_DIMENSIONS} dimensions, found ${rank}`)
    const shape = Array.from({ length: rank }, () => this.#cursor.uint64()).reverse()
    const typeId = this.#cursor.uint32()
    const type = ggmlType(typeId)
    if (!type) throw this.#invalid(`element type ${typeId} is not known`)
    const count = shape.reduce((product, size) => product * size, 1)
    if (!Number.isSafeInteger(count) || count < 1)
      throw this.#invalid(`shape [${shape.join(', ')}] is impossible`)
    const columns = shape.at(-1)!
    if (columns % type.values !== 0)
      throw this.#invalid(
        `${type.name} wants rows of a multiple of ${type.values} values, found ${columns}`,
      )
    const length = (count / type.values) * type.bytes
    return {
      name,
      file: this.#path,
      offset: this.#cursor.uint64(),
      length,
      dtype: type.name,
      shape,
    }
  }

  /** Moves the offsets to the start of the file, and checks that the tensors lie in it, apart. */
  #place(tensors: readonly StoredTensor[], alignment: number): readonly StoredTensor[] {
    const dataStart = Math.ceil(this.#cursor.position / alignment) * alignment
    const placed = tensors.map((tensor) => ({ ...tensor, offset: dataStart + tensor.offset }))
    const names = new Set<string>()
    let end = dataStart
    let before = 'the header'
    for (const { name, offset, length } of placed.toSorted((a, b) => a.offset - b.offset)) {
      this.#field = `tensor ${name}`
      if (names.has(name)) throw this.#invalid('it is there twice')
      names.add(name)
      if (offset % alignment !== 0)
        throw this.#invalid(`offset ${offset - dataStart} is no multiple of ${alignment}`)
      if (offset + length > this.#size)
        throw this.#invalid(
          `bytes ${offset} to ${offset + length} lie outside a file of ${this.#size} bytes; is it whole?`,
        )
      if (offset < end) throw this.#invalid(`byte ${offset} lies inside ${before}`)
      end = offset + length
      before = `tensor ${name}`
    }
    return placed
  }

  #invalid(message: string): EngineError {
    return new EngineError('invalid_file', `${basename(this.#path)}: ${this.#field}: ${message}`)
  }
}

const STRING = 8
const ARRAY = 9

interface Scalar {
  readonly bytes: number
  read(cursor: GgufCursor): number | boolean
}

/** Value types of metadata by their number in a file. */
const SCALARS: Readonly<Record<number, Scalar>> = {
  0: { bytes: 1, read: (cursor) => cursor.uint8() },
  1: { bytes: 1, read: (cursor) => cursor.int8() },
  2: { bytes: 2, read: (cursor) => cursor.uint16() },
  3: { bytes: 2, read: (cursor) => cursor.int16() },
  4: { bytes: 4, read: (cursor) => cursor.uint32() },
  5: { bytes: 4, read: (cursor) => cursor.int32() },
  6: { bytes: 4, read: (cursor) => cursor.float32() },
  7: { bytes: 1, read: (cursor) => cursor.uint8() !== 0 },
  10: { bytes: 8, read: (cursor) => cursor.uint64() },
  11: { bytes: 8, read: (cursor) => cursor.int64() },
  12: { bytes: 8, read: (cursor) => cursor.float64() },
}
