/**
 * Numbers made from a seed, the same ones everywhere. How an array was made is remembered, so that a recording says that
 * and not each number; octavo-replay makes them again (csrc/made_numbers.cc).
 */
import type { StoredType } from '../../lib/plan/ops.js'
import { roundTo } from './weights.js'

/** How `count` numbers were made: normalNumbers' arguments, and the type that each was rounded to. */
export interface Recipe {
  readonly seed: number
  readonly count: number
  readonly type: StoredType
  readonly deviation: number
  readonly outlier: number
}

const recipes = new WeakMap<object, readonly Recipe[]>()

/** How an array was made, part by part; undefined where that is not known. Arrays are not written to once they are made. */
export const recipesOf = (array: object): readonly Recipe[] | undefined => recipes.get(array)

/** Numbers in [0, 1) that depend on the seed only. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** About normal numbers of that deviation; one in a hundred is `outlier` times as large. */
export function normalNumbers(
  count: number,
  { seed = 1, deviation = 1, outlier = 1 } = {},
): Float32Array {
  const random = randomNumbers(seed)
  const numbers = Float32Array.from({ length: count }, () => {
    const sum = random() + random() + random() + random() - 2
    return sum * Math.sqrt(3) * deviation * (random() < 0.01 ? outlier : 1)
  })
  recipes.set(numbers, [{ seed, count, type: 'float32', deviation, outlier }])
  return numbers
}

/** Those numbers as the type holds them. */
export function roundedNumbers(
  type: StoredType,
  count: number,
  options?: Parameters<typeof normalNumbers>[1],
): Float32Array {
  const numbers = normalNumbers(count, options)
  return asMade(
    type,
    numbers,
    numbers.map((x) => roundTo(type, x)),
  )
}

/** Notes that `converted` holds the numbers, rounded to the type, in whatever form. */
export function asMade<T extends object>(type: StoredType, numbers: object, converted: T): T {
  const made = recipes.get(numbers)
  if (made !== undefined)
    recipes.set(
      converted,
      made.map((recipe) => ({ ...recipe, type })),
    )
  return converted
}

export function concatenate(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((total, part) => total + part.length, 0))
  let start = 0
  for (const part of parts) {
    all.set(part, start)
    start += part.length
  }
  const made = parts.map((part) => recipes.get(part))
  if (made.every((each) => each !== undefined)) recipes.set(all, made.flat())
  return all
}
