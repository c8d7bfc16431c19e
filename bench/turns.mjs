/**
 * What `measure` gives of each kind, in so many rounds: each has one of every kind, so that what disturbs the machine
 * disturbs all of them.
 * @template Result
 * @param {readonly (string | number)[]} kinds
 * @param {number} rounds
 * @param {(kind: string) => Result} measure
 * @returns {Record<string, Result[]>}
 */
export function inTurns(kinds, rounds, measure) {
  const results = Object.fromEntries(kinds.map((kind) => [kind, []]))
  for (let round = 0; round < rounds; round++)
    for (const kind of Object.keys(results)) results[kind].push(measure(kind))
  return results
}
