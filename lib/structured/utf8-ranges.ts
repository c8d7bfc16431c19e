import type { CodePoints } from './grammar.js'

/** Bytes from the first to the second, both included. */
export type ByteRange = readonly [first: number, last: number]

/** The last code point that 1, 2, 3 and 4 bytes encode. */
const LAST_OF_LENGTH = [0x7f, 0x7ff, 0xffff, 0x10ffff]
/** No character: they stand for halves of characters in UTF-16. */
const SURROGATES: CodePoints = [0xd800, 0xdfff]

/**
 * A range of code points as sequences of byte ranges: each combination of bytes, one from each range of
 * a sequence, is the UTF-8 of one code point of the range.
 */
export function utf8Ranges([first, last]: CodePoints): readonly (readonly ByteRange[])[] {
  if (first > last) return []
  const [lowest, highest] = SURROGATES
  if (first <= highest && last >= lowest) {
    return [...utf8Ranges([first, lowest - 1]), ...utf8Ranges([highest + 1, last])]
  }
  const border = LAST_OF_LENGTH.find((limit) => first <= limit && limit < last)
  if (border !== undefined)
    return [...utf8Ranges([first, border]), ...utf8Ranges([border + 1, last])]
  return sameLength(encode(first), encode(last))
}

/** Splits where a byte before the last differs while those after it do not run through all values. */
function sameLength(
  first: readonly number[],
  last: readonly number[],
): readonly (readonly ByteRange[])[] {
  const [low, ...lowRest] = first
  const [high, ...highRest] = last
  if (low === undefined || high === undefined) return [[]]
  const behind = (from: readonly number[], to: readonly number[], range: ByteRange) =>
    sameLength(from, to).map((rest) => [range, ...rest])
  if (low === high) return behind(lowRest, highRest, [low, high])
  const least = lowRest.map(() => 0x80)
  const most = lowRest.map(() => 0xbf)
  const sequences: (readonly ByteRange[])[] = []
  let from = low
  let to = high
  if (!equal(lowRest, least)) {
    sequences.push(...behind(lowRest, most, [from, from]))
    from++
  }
  const cut = !equal(highRest, most)
  if (cut) to--
  if (from <= to) sequences.push(...behind(least, most, [from, to]))
  if (cut) sequences.push(...behind(least, highRest, [high, high]))
  return sequences
}

function equal(a: readonly number[], b: readonly number[]): boolean {
  return a.every((byte, i) => byte === b[i])
}

function encode(point: number): readonly number[] {
  const tail = (shift: number) => 0x80 | ((point >> shift) & 0x3f)
  if (point <= 0x7f) return [point]
  if (point <= 0x7ff) return [0xc0 | (point >> 6), tail(0)]
  if (point <= 0xffff) return [0xe0 | (point >> 12), tail(6), tail(0)]
  return [0xf0 | (point >> 18), tail(12), tail(6), tail(0)]
}
