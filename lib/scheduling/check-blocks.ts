import type { BlockManager } from './block-manager.js'
import { NULL_BLOCK } from './block-pool.js'
import { DEVICE_TIER, HOST_TIER, type Sequence, type Tier } from './sequence.js'

/**
 * Throws an Error naming the first block or sequence that breaks a rule: each block's count equals
 * its owners; used + free + cached = all; tables cover exactly the slots, but for what lies behind a
 * window; nothing shared or findable is about to be written.
 */
export function checkBlocks(blocks: BlockManager): void {
  for (const sequence of blocks.holders) checkSequence(blocks, sequence)
  checkTier(blocks, DEVICE_TIER, 'block')
  checkTier(blocks, HOST_TIER, 'host block')
}

function checkTier(blocks: BlockManager, tier: Tier, name: string): void {
  const pool = tier === DEVICE_TIER ? blocks.pool : blocks.host
  pool.checkIntegrity()
  const owners = new Int32Array(pool.numBlocks)
  for (const sequence of blocks.holders) {
    if (sequence.tier !== tier) continue
    for (let group = 0; group < blocks.layout.groups; group++) {
      for (const block of tableOf(sequence, group)) if (block !== NULL_BLOCK) owners[block]!++
    }
  }
  for (let block = 0; block < owners.length; block++) {
    if (owners[block] !== pool.owners(block))
      throw new Error(
        `${name} ${block} counts ${pool.owners(block)} owners but has ${owners[block]!}`,
      )
  }
}

function checkSequence(blocks: BlockManager, sequence: Sequence): void {
  const { computed, slots, length, drafts } = sequence
  const name = nameOf(sequence)
  if (slots === 0 || computed > slots || slots > length + drafts)
    throw new Error(`${name}: computed ${computed}, slots ${slots}, length ${length}`)
  if (computed < slots && sequence.tier !== DEVICE_TIER)
    throw new Error(`${name} is about to write to the host`)
  for (const group of blocks.layout.tokenGroups) {
    checkTable(blocks, sequence, group)
    const first = Math.floor(computed / blocks.blockSize)
    if (computed < slots) checkWrites(blocks, sequence, tableOf(sequence, group).subarray(first))
  }
  for (const { group, window } of blocks.layout.windows) {
    if ((sequence.windowStarts[group] ?? 0) > blocks.layout.firstBlock(window, computed))
      throw new Error(`${name} lacks blocks of its window in group ${group}`)
  }
  for (const group of blocks.layout.states) {
    const table = tableOf(sequence, group)
    if (table.length !== 1 || table[0] === NULL_BLOCK)
      throw new Error(`${name} has ${table.length} blocks for its state in group ${group}`)
    if (computed < slots) checkWrites(blocks, sequence, table)
  }
}

function checkTable(blocks: BlockManager, sequence: Sequence, group: number): void {
  const table = tableOf(sequence, group)
  if (table.length !== blocks.layout.blocksFor(sequence.slots))
    throw new Error(`${nameOf(sequence)} has ${table.length} blocks for ${sequence.slots} slots`)
  const start = sequence.windowStarts[group] ?? 0
  if (table.subarray(start).includes(NULL_BLOCK))
    throw new Error(`${nameOf(sequence)} owns the null block`)
  if (table.subarray(0, start).some((block) => block !== NULL_BLOCK))
    throw new Error(`${nameOf(sequence)} owns a block behind its window in group ${group}`)
}

function checkWrites({ pool }: BlockManager, sequence: Sequence, table: Int32Array): void {
  for (const block of table) {
    if (pool.owners(block) > 1)
      throw new Error(`${nameOf(sequence)} is about to write to block ${block}, which is shared`)
    if (pool.isCached(block))
      throw new Error(`${nameOf(sequence)} is about to write to block ${block}, which can be found`)
  }
}

function tableOf(sequence: Sequence, group: number): Int32Array {
  return sequence.blockTables[group]!.subarray(0, sequence.blockCounts[group])
}

function nameOf(sequence: Sequence): string {
  return `sequence ${sequence.index} of request ${sequence.group.requestId}`
}
