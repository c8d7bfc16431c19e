/** Writes GGUF files, version 3, for tests of the reader. */

export type MetadataValue = string | number | boolean | readonly string[] | readonly number[]

export interface GgufTensor {
  readonly name: string
  /** As in a checkpoint: the contiguous dimension last. */
  readonly shape: readonly number[]
  /** GGUF's number of the stored type. */
  readonly type: number
  readonly data: Uint8Array
}

const alignment = 32

export function ggufFile(
  metadata: Readonly<Record<string, MetadataValue>>,
  tensors: readonly GgufTensor[],
): Buffer {
  const parts = [Buffer.from('GGUF'), uint32(3), uint64(tensors.length)]
  parts.push(uint64(Object.keys(metadata).length))
  for (const [key, value] of Object.entries(metadata)) parts.push(string(key), typedValue(value))
  let offset = 0
  for (const { name, shape, type, data } of tensors) {
    parts.push(string(name), uint32(shape.length), ...[...shape].reverse().map(uint64))
    parts.push(uint32(type), uint64(offset))
    offset += aligned(data.length)
  }
  return Buffer.concat([padded(Buffer.concat(parts)), ...tensors.map(({ data }) => padded(data))])
}

function typedValue(value: MetadataValue): Buffer {
  if (typeof value === 'string') return Buffer.concat([uint32(8), string(value)])
  if (typeof value === 'boolean') return Buffer.concat([uint32(7), Buffer.from([Number(value)])])
  if (typeof value === 'number') {
    return Number.isInteger(value)
      ? Buffer.concat([uint32(4), uint32(value)])
      : Buffer.concat([uint32(6), float32(value)])
  }
  if (isStrings(value)) return array(8, value.map(string))
  const whole = value.every((item) => Number.isInteger(item) && item >= 0)
  return whole ? array(4, value.map(uint32)) : array(6, value.map(float32))
}

function isStrings(value: readonly string[] | readonly number[]): value is readonly string[] {
  return typeof value[0] === 'string'
}

function array(itemType: number, items: readonly Buffer[]): Buffer {
  return Buffer.concat([uint32(9), uint32(itemType), uint64(items.length), ...items])
}

function string(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([uint64(bytes.length), bytes])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

function float32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return bytes
}

function aligned(length: number): number {
  return Math.ceil(length / alignment) * alignment
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(aligned(bytes.length) - bytes.length)])
}
