import { closeSync, openSync, readSync } from 'node:fs'

/** What a read past the end of the file is told as; the reader adds the file and the field. */
export class EndOfFile extends Error {}

const CHUNK_BYTES = 1 << 20

/**
 * Reads little-endian values one after the other from the start of a file. Every read is within the
 * file's length, and nothing is allocated for a length that the file cannot hold.
 */
export class GgufCursor {
  readonly #file: number
  readonly #size: number
  #chunk = Buffer.alloc(0)
  /** Place in the file of the chunk's first byte. */
  #chunkStart = 0
  #at = 0

  constructor(path: string, size: number) {
    this.#file = openSync(path, 'r')
    this.#size = size
  }

  close(): void {
    closeSync(this.#file)
  }

  /** Bytes from the start of the file. */
  get position(): number {
    return this.#chunkStart + this.#at
  }

  get remaining(): number {
    return this.#size - this.position
  }

  uint8 = (): number => this.#chunk.readUInt8(this.#take(1))
  int8 = (): number => this.#chunk.readInt8(this.#take(1))
  uint16 = (): number => this.#chunk.readUInt16LE(this.#take(2))
  int16 = (): number => this.#chunk.readInt16LE(this.#take(2))
  uint32 = (): number => this.#chunk.readUInt32LE(this.#take(4))
  int32 = (): number => this.#chunk.readInt32LE(this.#take(4))
  float32 = (): number => shortest(this.#chunk.readFloatLE(this.#take(4)))
  float64 = (): number => this.#chunk.readDoubleLE(this.#take(8))
  uint64 = (): number => {
    const at = this.#take(8)
    return this.#chunk.readUInt32LE(at) + this.#chunk.readUInt32LE(at + 4) * 2 ** 32
  }
  int64 = (): number => Number(this.#chunk.readBigInt64LE(this.#take(8)))

  text(bytes: number): string {
    const start = this.#take(bytes)
    return this.#chunk.toString('utf8', start, start + bytes)
  }

  /** Moves over the next bytes; gives where they start in the chunk. */
  #take(bytes: number): number {
    if (bytes > this.remaining) throw new EndOfFile()
    if (this.#at + bytes > this.#chunk.length) this.#refill(bytes)
    const start = this.#at
    this.#at += bytes
    return start
  }

  #refill(bytes: number): void {
    const start = this.position
    const chunk = Buffer.alloc(Math.min(Math.max(bytes, CHUNK_BYTES), this.#size - start))
    let read = 0
    while (read < chunk.length) {
      const count = readSync(this.#file, chunk, read, chunk.length - read, start + read)
      if (count === 0) throw new EndOfFile()
      read += count
    }
    this.#chunk = chunk
    this.#chunkStart = start
    this.#at = 0
  }
}

/** The float32 as a person wrote it: 0.00001, not 0.000009999999747378752. */
function shortest(value: number): number {
  for (let digits = 6; digits <= 9; digits++) {
    const rounded = Number(value.toPrecision(digits))
    if (Math.fround(rounded) === value) return rounded
  }
  return value
}
