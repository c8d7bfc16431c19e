type Turn<A, B> = readonly [A, B, number]

/**
 * Each of `first` with each of `second`, with a number in turn, so that every pair of the three is among them; where
 * `all`, or where there are too few of either to take turns, with every number.
 */
export function turnsOf<A, B>(
  first: readonly A[],
  second: readonly B[],
  numbers: readonly number[],
  all: boolean,
): Turn<A, B>[] {
  const few = Math.min(first.length, second.length) < numbers.length
  return first.flatMap((a, i) =>
    second.flatMap((b, j) => {
      const some = all || few ? numbers : [numbers[(i + j) % numbers.length]!]
      return some.map((number) => [a, b, number] as const)
    }),
  )
}

/** How many different pairs of first and second, first and third, second and third there are. */
export function pairsOf(turns: readonly Turn<unknown, unknown>[]): number[] {
  const places = [
    [0, 1],
    [0, 2],
    [1, 2],
  ] as const
  return places.map(
    ([a, b]) => new Set(turns.map((turn) => `${String(turn[a])} ${String(turn[b])}`)).size,
  )
}
