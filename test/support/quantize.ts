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
  const { bits, group, levels } = quantizationOf(type)!
  const size = group ?? cols
  const result = Float64Array.from(elements)
  for (let row = 0; row < result.length; row += cols) {
    for (let first = 0; first < cols; first += size) {
      const numbers = result.subarray(row + first, row + Math.min(first + size, cols))
      if (levels || bits === 16) {
        numbers.set(levels ? toLevels(numbers) : toWords(numbers))
        continue
      }
      const { scale, minimum } = formOf(numbers, bits, group !== null)
      numbers.forEach((x, i) => {
        const code = scale === 0 ? 0 : codeOf(x, scale, minimum, 2 ** bits - 1)
        numbers[i] = scale * code + minimum
      })
    }
  }
  return result
}

/** The largest becomes 16,383. */
function toWords(numbers: Float64Array): Float64Array {
  const scale = Math.fround(Math.max(...numbers.map(Math.abs)) / 16383)
  return numbers.map((x) => (scale === 0 ? 0 : scale * roundHalfToEven(Math.fround(x / scale))))
}

/** The nearest of nf4's levels, themselves whole multiples of a step. */
function toLevels(numbers: Float64Array): Float64Array {
  const largest = Math.max(...numbers.map(Math.abs))
  const levels = WHOLE_LEVELS.map((level) => level * Math.fround(largest * LEVEL_STEP))
  const nearer = (x: number) => (best: number, level: number) =>
    Math.abs(level - x) < Math.abs(best - x) ? level : best
  return numbers.map((x) => levels.reduce(nearer(x)))
}

/** Quantiles of the normal distribution, as bitsandbytes has them. */
const NORMAL_LEVELS = [
  ...[-1, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.091050036, 0],
  ...[0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1],
]

/** The step, of 1/8191 to 1/4096, whose multiples come nearest to all of them. */
const STEPS = Array.from({ length: 4096 }, (_, i) => 8191 - i).reduce((best, steps) =>
  squaredError(steps) < squaredError(best) ? steps : best,
)
const LEVEL_STEP = Math.fround(1 / STEPS)
const WHOLE_LEVELS = NORMAL_LEVELS.map((level) => roundHalfToEven(level * STEPS))

function squaredError(steps: number): number {
  return NORMAL_LEVELS.reduce(
    (sum, level) => sum + (level * steps - roundHalfToEven(level * steps)) ** 2,
    0,
  )
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
