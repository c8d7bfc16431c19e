import type { BlockManager } from './block-manager.js'
import { DEVICE_TIER } from './sequence.js'

/** What the slots of the device's blocks are used for, as shares from 0 to 1 that make 1 together. */
export interface MemoryShares {
  /** Slots that hold a token's keys and values; shared ones count once. */
  readonly tokenStates: number
  /** Empty slots of a sequence's last block that it may still fill. */
  readonly reserved: number
  /** Empty slots of a sequence's last block that it never will fill. */
  readonly internal: number
  /** Blocks that nobody owns. All are alike, so any request can have them: with paging none is lost. */
  readonly external: number
}

/** Measures a block manager's device pool as the paper's Figure 2 does. */
export function memoryShares(blocks: BlockManager): MemoryShares {
  const { pool, blockSize, layout } = blocks
  let reserved = 0
  let internal = 0
  for (const { group, tier, slots, blockTables, blockCounts } of blocks.holders) {
    if (tier !== DEVICE_TIER) continue
    const empty = blocks.blocksFor(slots) * blockSize - slots
    if (empty === 0) continue
    // The last token that is drawn is never computed.
    const final = group.promptLength + (group.params.maxTokens ?? Infinity) - 1
    const fillable = Math.min(empty, final - slots)
    for (const i of layout.tokenGroups) {
      const sharers = pool.owners(blockTables[i]![blockCounts[i]! - 1]!)
      reserved += fillable / sharers
      internal += (empty - fillable) / sharers
    }
  }
  const all = pool.capacity * blockSize
  return {
    tokenStates: (pool.used * blockSize - reserved - internal) / all,
    reserved: reserved / all,
    internal: internal / all,
    external: pool.available / pool.capacity,
  }
}
