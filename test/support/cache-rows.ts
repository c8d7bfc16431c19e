import type { CacheType } from '../../lib/plan/ops.js'
import type { Row } from './reference-rows.js'
import { roundHalfToEven, roundTo } from './weights.js'

/** Keys or values of a token, heads of `width` side by side, as a cache of that type holds them. */
export function asCached(type: CacheType, row: Row, width: number): Row {
  switch (type) {
    case 'float32':
      return row
    case 'int8':
      return asCodes(row, width)
    case 'fp8':
      return row.map(roundToFloat8)
    default:
      return row.map((x) => roundTo(type, x))
  }
}

function asCodes(row: Row, width: number): Row {
  const cached = new Float64Array(row.length)
  for (let start = 0; start < row.length; start += width) {
    const head = row.subarray(start, start + width)
    const largest = head.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
    const scale = Math.fround(largest / 127)
    const codes = head.map((x) => (scale === 0 ? 0 : roundHalfToEven(x / scale)))
    cached.set(
      codes.map((code) => code * scale),
      start,
    )
  }
  return cached
}

/** The nearest e4m3 number, at most 448. */
function roundToFloat8(value: number): number {
  const magnitude = Math.abs(value)
  if (magnitude === 0) return value
  const step = 2 ** (Math.max(-6, Math.floor(Math.log2(magnitude))) - 3)
  return Math.sign(value) * Math.min(448, roundHalfToEven(magnitude / step) * step)
}
