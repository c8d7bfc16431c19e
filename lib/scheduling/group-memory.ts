import type { BlockManager } from './block-manager.js'
import type { SequenceGroup } from './sequence.js'

/**
 * Blocks that a group needs when each of its sequences holds `length` tokens: they share the full
 * blocks of the prompt in groups that keep them, and each owns the rest.
 */
export function blocksOfGroup(
  blocks: BlockManager,
  promptLength: number,
  length: number,
  sequences: number,
): number {
  return blocks.layout.blocksHeldBy(sequences, length, promptLength)
}

/** Blocks that the known tokens of a running group still lack. */
export function blocksOwedTo(blocks: BlockManager, group: SequenceGroup): number {
  const { layout } = blocks
  const shared = Math.floor(group.promptLength / layout.blockSize) * layout.fullGroups
  let owed = 0
  for (const sequence of group.sequences) {
    const { finished, length, slots } = sequence
    if (finished) continue
    const found = sequence === group.leader ? 0 : shared
    owed += layout.blocksHeld(length) - (slots > 0 ? layout.blocksHeld(slots) : found)
  }
  return owed
}
