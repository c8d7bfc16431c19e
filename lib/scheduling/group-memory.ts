import type { BlockManager } from './block-manager.js'
import type { SequenceGroup } from './sequence.js'

/**
 * Blocks that a group needs when each of its sequences holds `length` tokens: they share the full
 * blocks of the prompt, and each owns the rest.
 */
export function blocksOfGroup(
  blocks: BlockManager,
  promptLength: number,
  length: number,
  sequences: number,
): number {
  const shared = Math.floor(promptLength / blocks.blockSize)
  return (shared + sequences * (blocks.blocksFor(length) - shared)) * blocks.groups
}

/** Blocks that the known tokens of a running group still lack. */
export function blocksOwedTo(blocks: BlockManager, group: SequenceGroup): number {
  const shared = Math.floor(group.promptLength / blocks.blockSize)
  let owed = 0
  for (const { finished, length, slots } of group.sequences) {
    if (finished) continue
    owed += blocks.blocksFor(length) - (slots > 0 ? blocks.blocksFor(slots) : shared)
  }
  return owed * blocks.groups
}
