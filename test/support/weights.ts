import { closeSync, openSync, readSync } from 'node:fs'
import type { NativeTensor } from '../../lib/native/addon-types.js'
import type { StoredType } from '../../lib/plan/ops.js'

/** Reads a tensor's elements; every stored type fits a float32 exactly. */
export function readTensor({ file, offset, length, type }: NativeTensor): Float32Array {
  const bytes = new Uint8Array(length)
  const descriptor = openSync(file, 'r')
  readSync(descriptor, bytes, 0, length, offset)
  closeSync(descriptor)
  return decode(bytes, type as StoredType)
}

/** Reads tensors by name, as the reference wants them. */
export function tensorReader(tensors: readonly NativeTensor[]): (name: string) => Float32Array {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]))
  return (name) => readTensor(byName.get(name)!)
}

/** Little-endian elements of a stored type as numbers. */
export function decode(bytes: Uint8Array, type: StoredType): Float32Array {
  const buffer = bytes.slice().buffer
  if (type === 'float32') return new Float32Array(buffer)
  const convert = type === 'bfloat16' ? fromBFloat16 : fromFloat16
  return Float32Array.from(new Uint16Array(buffer), convert)
}

/** A number as the stored type holds it: rounded to nearest, ties to even. */
export function roundTo(type: StoredType, value: number): number {
  switch (type) {
    case 'float32':
      return Math.fround(value)
    case 'bfloat16':
      return fromBFloat16(toBFloat16(value))
    case 'float16':
      return roundToFloat16(value)
    default:
      return type satisfies never
  }
}

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

function fromBFloat16(half: number): number {
  bits[0] = half << 16
  return float[0]!
}

/** The upper half of the float32; a NaN stays one. */
export function toBFloat16(value: number): number {
  float[0] = value
  const word = bits[0]!
  if (Number.isNaN(value)) return 0x7fc0
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16
}

function fromFloat16(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >>> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity
  if (exponent === 0) return sign * fraction * 2 ** -24
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

function roundToFloat16(value: number): number {
  const magnitude = Math.abs(Math.fround(value))
  if (!Number.isFinite(magnitude) || magnitude === 0) return value
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)))
  const step = 2 ** (exponent - 10)
  const rounded = roundHalfToEven(magnitude / step) * step
  return Math.sign(value) * (rounded >= 65520 ? Infinity : rounded)
}

export function roundHalfToEven(value: number): number {
  const down = Math.floor(value)
  if (value - down !== 0.5) return Math.round(value)
  return down % 2 === 0 ? down : down + 1
}
