import type { NormKind, Rope } from '../../lib/plan/ops.js'

/** A row of a value, or a whole vector, in double precision. */
export type Row = Float64Array

export interface Normalisation {
  readonly norm: NormKind
  readonly eps: number
  readonly gain?: ArrayLike<number>
  readonly shift?: ArrayLike<number>
  /** Where the row is a part of what is normalised. */
  readonly variance?: number
}

export function normalise(row: Row, { norm, eps, gain, shift, ...given }: Normalisation): Row {
  const mean = norm === 'layer' ? sum(row) / row.length : 0
  const { variance = sum(row.map((x) => (x - mean) ** 2)) / row.length } = given
  const factor = 1 / Math.sqrt(variance + eps)
  return row.map((x, c) => (x - mean) * factor * (gain?.[c] ?? 1) + (shift?.[c] ?? 0))
}

export function softcap(x: number, cap: number | undefined): number {
  return cap === undefined ? x : cap * Math.tanh(x / cap)
}

export function softmax(scores: readonly number[], sink = -Infinity): number[] {
  const highest = Math.max(sink, ...scores)
  const weights = scores.map((score) => Math.exp(score - highest))
  const all = sum(weights) + Math.exp(sink - highest)
  return weights.map((weight) => weight / all)
}

export function dot(a: Row, b: Row): number {
  let result = 0
  for (let i = 0; i < a.length; i++) result += a[i]! * b[i]!
  return result
}

export function sum(values: Iterable<number>): number {
  let result = 0
  for (const value of values) result += value
  return result
}

/** Turns the pairs of every head in place, of a token of a sequence of that length. */
export function rotate(
  heads: Row,
  headDim: number,
  given: Rope,
  { position, length }: { readonly position: number; readonly length: number },
): void {
  const { long } = given
  const rope = long && length > long.from ? { ...given, invFreq: long.invFreq } : given
  const half = rope.dim / 2
  const [step, apart] = rope.interleaved ? [2, 1] : [1, half]
  for (let start = 0; start < heads.length; start += headDim) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * rotaryFrequency(rope, i, position))
      const cos = Math.cos(angle) * rope.scale
      const sin = Math.sin(angle) * rope.scale
      const [a, b] = [start + step * i, start + step * i + apart]
      const [x, y] = [heads[a]!, heads[b]!]
      heads[a] = x * cos - y * sin
      heads[b] = y * cos + x * sin
    }
  }
}

/** Radians that pair i turns a position, at this position. */
export function rotaryFrequency(
  { dim, invFreq, dynamic }: Rope,
  i: number,
  position: number,
): number {
  if (!dynamic || position < dynamic.original) return Math.fround(invFreq[i]!)
  const { base, factor, original } = dynamic
  const growth = (factor * (position + 1)) / original - (factor - 1)
  return Math.fround(1 / (base * growth ** (dim / (dim - 2))) ** ((2 * i) / dim))
}
