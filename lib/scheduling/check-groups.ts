import type { BlockManager } from './block-manager.js'
import type { GroupQueue } from './group-queue.js'
import type { PinnedPrefixes } from './pinned-prefixes.js'
import type { RunningGroups } from './running-groups.js'
import { DEVICE_TIER, HOST_TIER, type SequenceGroup } from './sequence.js'

interface SchedulerState {
  readonly groups: Iterable<SequenceGroup>
  readonly running: RunningGroups
  readonly queue: GroupQueue
  readonly blocks: BlockManager
  readonly pinned: PinnedPrefixes
}

/**
 * Throws an Error that names the first group that is not in exactly one place, is miscounted, or owns
 * blocks that its state does not allow: on the device while it runs, on the host while it is swapped out.
 */
export function checkGroups({ groups, running, queue, blocks, pinned }: SchedulerState): void {
  let sequences = 0
  let holders = 0
  let swapped = 0
  for (const group of groups) {
    checkPlace(group, running, queue)
    if (group.state === 'running') sequences += group.live
    if (group.state === 'swapped') swapped++
    holders += checkHolders(group, blocks)
  }
  if (sequences !== running.sequences)
    throw new Error(`${sequences} sequences run, counted as ${running.sequences}`)
  if (swapped !== queue.swapped)
    throw new Error(`${swapped} groups are swapped out, counted as ${queue.swapped}`)
  if (holders + pinned.size !== blocks.holders.size)
    throw new Error(
      `${blocks.holders.size} sequences own blocks; ${holders} are running or swapped out, ` +
        `${pinned.size} are pinned prefixes`,
    )
}

function checkPlace(group: SequenceGroup, running: RunningGroups, queue: GroupQueue): void {
  const { requestId, state, live } = group
  const places = Number(running.has(group)) + Number(queue.has(group))
  if (places !== 1 || (state === 'running') !== running.has(group))
    throw new Error(`request ${requestId} is ${state}, found in ${places} places`)
  const unfinished = group.sequences.filter((sequence) => !sequence.finished)
  if (unfinished.length !== live)
    throw new Error(`request ${requestId} counts ${live} sequences, has ${unfinished.length}`)
}

/** Gives the number of sequences that own blocks. */
function checkHolders({ requestId, state, sequences }: SequenceGroup, blocks: BlockManager) {
  const holders = sequences.filter((sequence) => blocks.holders.has(sequence))
  const tier = state === 'running' ? DEVICE_TIER : state === 'swapped' ? HOST_TIER : null
  for (const { index, finished, tier: own } of holders) {
    if (finished || own !== tier)
      throw new Error(`request ${requestId} is ${state}, but sequence ${index} owns blocks`)
  }
  return holders.length
}
