/**
 * ALiBi's slopes of the heads: powers of two down to 2^−most. Where the number of heads is no power
 * of two, every second slope of twice as many heads stands behind those of the next lower power.
 */
export function alibiSlopes(heads: number, most = 8): readonly number[] {
  const power = 2 ** Math.floor(Math.log2(heads))
  const slopes = (count: number) =>
    Array.from({ length: count }, (_, i) => slope(i + 1, count, most))
  const between = slopes(2 * power).filter((_, i) => i % 2 === 0)
  return [...slopes(power), ...between].slice(0, heads)
}

function slope(i: number, count: number, most: number): number {
  return 2 ** ((-most * i) / count)
}

/** The same slopes as MPT orders them: of the next higher power of two, every second one first. */
export function interleavedSlopes(heads: number, most: number): readonly number[] {
  const power = 2 ** Math.ceil(Math.log2(heads))
  const all = Array.from({ length: power }, (_, i) => slope(i + 1, power, most))
  if (power === heads) return all
  const [odd, even] = [1, 0].map((rest) => all.filter((_, i) => i % 2 === rest))
  return [...odd!, ...even!].slice(0, heads)
}
