import type { QuantizedType, WeightType } from '../../lib/plan/ops.js'
import { quantizationOf } from '../../lib/plan/size.js'
import { roundHalfToEven, roundTo } from './weights.js'

export function isQuantized(type: WeightType): type is QuantizedType {
  return quantizationOf(type) !== null
}

/** A matrix after it was quantised and read back: what csrc/quantized.cc makes of floats. */
export function requantized(
  type: QuantizedType,
  elements: ArrayLike<number>,
  cols: number,
): Float64Array {
  const { bits, group } = quantizationOf(type)!
  const size = group ?? cols
  const result = Float64Array.from(elements)
  for (let row = 0; row < result.length; row += cols) {
    for (let first = 0; first < cols; first += size) {
      const numbers = result.subarray(row + first, row + Math.min(first + size, cols))
      const { scale, minimum } = formOf(numbers, bits, group !== null)
      numbers.forEach((x, i) => {
        const code = scale === 0 ? 0 : codeOf(x, scale, minimum, 2 ** bits - 1)
        numbers[i] = scale * code + minimum
      })
    }
  }
  return result
}

/** 8 bits: symmetric around code 128. 4 bits: from the least to the greatest number. */
function formOf(numbers: Float64Array, bits: 4 | 8, half: boolean) {
  const kept = (x: number) => (half ? roundTo('float16', x) : x)
  if (bits === 8) {
    const scale = kept(Math.fround(Math.max(...numbers.map(Math.abs)) / 127))
    return { scale, minimum: -128 * scale }
  }
  const minimum = kept(Math.min(...numbers))
  const range = Math.fround(Math.max(...numbers) - minimum)
  return { scale: kept(Math.fround(range / 15)), minimum }
}

function codeOf(x: number, scale: number, minimum: number, highest: number): number {
  const code = roundHalfToEven(Math.fround(Math.fround(x - minimum) / scale))
  return Math.min(Math.max(code, 0), highest)
}
