import { closeSync, openSync, readSync, statSync } from 'node:fs'

const types = [
  { name: 'uint8', size: 1, read: (view, at) => view.getUint8(at) },
  { name: 'int8', size: 1, read: (view, at) => view.getInt8(at) },
  { name: 'uint16', size: 2, read: (view, at) => view.getUint16(at, true) },
  { name: 'int16', size: 2, read: (view, at) => view.getInt16(at, true) },
  { name: 'uint32', size: 4, read: (view, at) => view.getUint32(at, true) },
  { name: 'int32', size: 4, read: (view, at) => view.getInt32(at, true) },
  { name: 'float32', size: 4, read: (view, at) => view.getFloat32(at, true) },
  { name: 'bool', size: 1, read: (view, at) => view.getUint8(at) !== 0 },
  { name: 'string' },
  { name: 'array' },
  { name: 'uint64', size: 8, read: (view, at) => Number(view.getBigUint64(at, true)) },
  { name: 'int64', size: 8, read: (view, at) => Number(view.getBigInt64(at, true)) },
  { name: 'float64', size: 8, read: (view, at) => view.getFloat64(at, true) },
]

/** Reads the little-endian values of a GGUF header one after the other. */
class Cursor {
  #at = 0
  #bytes
  #view

  constructor(bytes) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get position() {
    return this.#at
  }

  number(name) {
    return this.#value(types.findIndex((type) => type.name === name))
  }

  string() {
    const length = this.number('uint64')
    const text = this.#bytes.toString('utf8', this.#at, this.#at + length)
    this.#at += length
    return text
  }

  typedValue() {
    return this.#value(this.number('uint32'))
  }

  #value(typeId) {
    const type = types[typeId]
    if (!type) throw new Error(`invalid GGUF: metadata type ${typeId}`)
    if (type.name === 'string') return this.string()
    if (type.name === 'array') return this.#array()
    const value = type.read(this.#view, this.#at)
    this.#at += type.size
    return value
  }

  #array() {
    const typeId = this.number('uint32')
    const length = this.number('uint64')
    return Array.from({ length }, () => this.#value(typeId))
  }
}

/** An open GGUF file, version 3: its metadata, its tensors' places, and their bytes when asked. */
export class GgufFile {
  #dataStart
  #file
  metadata = {}
  /** `{ name, shape, type, offset }`: shape with the contiguous dimension last, type as GGUF's number. */
  tensors = []

  constructor(path) {
    this.#file = openSync(path)
    // The header of a vocabulary of 50,000 takes 2 MB; 64 MB hold any that there is.
    const header = this.#read(0, Math.min(statSync(path).size, 2 ** 26))
    if (header.toString('latin1', 0, 4) !== 'GGUF') throw new Error(`${path} is not a GGUF file`)
    this.#parse(new Cursor(header.subarray(4)))
  }

  /** The bytes of a tensor as they are stored. */
  bytes(tensor, length) {
    return this.#read(this.#dataStart + tensor.offset, length)
  }

  close() {
    closeSync(this.#file)
  }

  #parse(cursor) {
    const version = cursor.number('uint32')
    if (version !== 3) throw new Error(`GGUF version ${version} is not read, only 3`)
    const tensorCount = cursor.number('uint64')
    const keyCount = cursor.number('uint64')
    for (let i = 0; i < keyCount; i++) this.metadata[cursor.string()] = cursor.typedValue()
    for (let i = 0; i < tensorCount; i++) this.tensors.push(readTensorInfo(cursor))
    const alignment = this.metadata['general.alignment'] ?? 32
    this.#dataStart = Math.ceil((4 + cursor.position) / alignment) * alignment
  }

  #read(position, length) {
    const bytes = Buffer.alloc(length)
    const got = readSync(this.#file, bytes, 0, length, position)
    if (got !== length) throw new Error(`GGUF file ends ${length - got} bytes too early`)
    return bytes
  }
}

function readTensorInfo(cursor) {
  const name = cursor.string()
  const rank = cursor.number('uint32')
  const shape = Array.from({ length: rank }, () => cursor.number('uint64')).reverse()
  return { name, shape, type: cursor.number('uint32'), offset: cursor.number('uint64') }
}
