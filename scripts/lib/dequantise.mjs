/** GGUF's tensor types that are read: how many values share a block, its bytes, and how to decode it. */
const formats = {
  0: { name: 'F32', values: 1, bytes: 4, decode: decodeF32 },
  3: { name: 'Q4_1', values: 32, bytes: 20, decode: decodeQ41 },
  8: { name: 'Q8_0', values: 32, bytes: 34, decode: decodeQ80 },
}

function formatOf(type) {
  const format = formats[type]
  if (format) return format
  const known = Object.values(formats).map(({ name }) => name)
  throw new Error(`GGUF tensor type ${type} is not read, only ${known.join(', ')}`)
}

/** Bytes that a number of values takes in a file. */
export function storedBytes(type, count) {
  const { values, bytes } = formatOf(type)
  return (count / values) * bytes
}

/** The values of a stored tensor as float32. */
export function dequantise(type, stored, count) {
  const { values, bytes, decode } = formatOf(type)
  const out = new Float32Array(count)
  const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength)
  for (let block = 0; block < count / values; block++) {
    decode(view, block * bytes, out, block * values)
  }
  return out
}

function decodeF32(view, at, out, to) {
  out[to] = view.getFloat32(at, true)
}

/** float16 scale and minimum, then 32 nibbles: the first 16 values in the low halves. */
function decodeQ41(view, at, out, to) {
  const scale = float16(view.getUint16(at, true))
  const minimum = float16(view.getUint16(at + 2, true))
  for (let i = 0; i < 16; i++) {
    const pair = view.getUint8(at + 4 + i)
    out[to + i] = scale * (pair & 15) + minimum
    out[to + 16 + i] = scale * (pair >> 4) + minimum
  }
}

/** float16 scale, then 32 signed bytes. */
function decodeQ80(view, at, out, to) {
  const scale = float16(view.getUint16(at, true))
  for (let i = 0; i < 32; i++) out[to + i] = scale * view.getInt8(at + 2 + i)
}

function float16(bits) {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** float32 values rounded to bfloat16, ties to even. */
export function toBfloat16(values) {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const out = new Uint16Array(values.length)
  for (let i = 0; i < out.length; i++) {
    const word = words[i]
    out[i] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16
  }
  return out
}
