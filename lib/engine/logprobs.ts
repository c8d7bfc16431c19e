import type { StepResult } from '../native/executor.js'
import type { Path } from '../scheduling/beam-search.js'
import type { TokenLogprobs } from './outputs.js'

type TextOf = (id: number) => string

/** The log-probabilities of the token that a row drew, and of the most likely ones that were asked for. */
export function readLogprobs(result: StepResult, row: number, textOf: TextOf): TokenLogprobs {
  const logprobs: TokenLogprobs = new Map()
  const add = (id: number, logprob: number, rank: number) =>
    logprobs.set(id, { logprob, rank, decodedToken: textOf(id) })
  add(result.tokenIds[row]!, result.logprobs[row]!, result.ranks[row]!)
  const start = result.topStarts[row]!
  for (let i = start; i < result.topStarts[row + 1]!; i++) {
    const id = result.topIds[i]!
    if (!logprobs.has(id)) add(id, result.topLogprobs[i]!, i - start + 1)
  }
  return logprobs
}

/** The log-probabilities of a beam's token, and of the `count` most likely ones in its place. */
export function readPath({ token, logprob, row }: Path, count: number, textOf: TextOf) {
  const logprobs: TokenLogprobs = new Map()
  const tops = row.ids.subarray(0, count)
  for (const id of new Set([token, ...tops])) {
    const value = id === token ? logprob : row.logprobs[row.ids.indexOf(id)]!
    const rank = row.logprobs.indexOf(value) + 1
    logprobs.set(id, { logprob: value, rank, decodedToken: textOf(id) })
  }
  return logprobs
}
