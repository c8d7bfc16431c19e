import type { NextTokens } from './beam-search.js'
import type { BlockManager } from './block-manager.js'
import type { DrawnTokens } from './scheduler-types.js'
import type { SequenceGroup } from './sequence.js'

/** The most likely tokens that a sample row reports. */
export function nextTokensOf(result: DrawnTokens, row: number): NextTokens {
  const { topStarts, topIds, topLogprobs } = result
  if (!topStarts || !topIds || !topLogprobs)
    throw new Error('a search needs the most likely tokens of its rows')
  const start = topStarts[row]!
  const end = topStarts[row + 1]!
  return { ids: topIds.slice(start, end), logprobs: topLogprobs.slice(start, end) }
}

/**
 * Moves a group's sequences on to the next beams once each of them has been computed: a beam without
 * a continuation gives its blocks back, one with several is forked. False when the search is over.
 */
export function advanceBeams(blocks: BlockManager, group: SequenceGroup): boolean {
  const { sequences } = group
  const beams = group.beams!
  if (!group.forked || sequences.some(({ uncomputed }) => uncomputed > 0)) return true
  const moves = beams.advance()
  const parents = new Set(moves.map(({ from }) => from))
  for (const { index } of sequences) if (!parents.has(index)) blocks.free(sequences[index]!)
  for (const { from, to } of moves) {
    if (from === to) continue
    sequences[to]!.become(sequences[from]!)
    blocks.fork(sequences[from]!, sequences[to]!)
  }
  for (const { to, token } of moves) sequences[to]!.append(token)
  return !beams.over
}
