import { EngineError } from '../errors.js'
import { layOutArena } from '../plan/arena.js'
import type { Plan, PlanLimits } from '../plan/ops.js'
import { adapterBytes, cacheBlockBytes, positionLimit, weightBytes } from '../plan/size.js'
import { CacheLayout } from '../scheduling/cache-layout.js'
import { rowsWithDrafts } from '../scheduling/speculation.js'
import type { EngineConfig } from './config.js'
import type { Device } from './device.js'

const GIB = 2 ** 30

/** How an engine divides the memory it may take; computed before the first weight is read. */
export interface MemoryPlan {
  /** Longest sequence, prompt and output, in tokens. */
  readonly maxModelLen: number
  /** Blocks of the device pool, the null block included. */
  readonly numBlocks: number
  /** On a GPU, where no option fixes the pool: the blocks that are of use, of which loading makes as many as fit; else null. */
  readonly mostBlocks: number | null
  /** Blocks of the host pool, the null block included; 0: there is none. */
  readonly hostBlocks: number
  readonly limits: PlanLimits
  /** Bytes of each part. */
  readonly weights: number
  readonly cache: number
  readonly hostCache: number
  readonly arena: number
  /** What was cut to fit, for the log; null if nothing was. */
  readonly notice: string | null
}

export interface MemoryRequest {
  readonly plan: Plan
  readonly config: EngineConfig
  /** The model's own longest sequence, in tokens. */
  readonly modelMaxLen: number
  readonly device: Device
  /** Bytes that the engine may take on the device. */
  readonly available: number
  /** Device blocks that loading made, once it has. */
  readonly loadedBlocks?: number
}

/**
 * Sizes the arena and the block pools. Throws `out_of_memory` with the numbers when weights, caches and
 * arena exceed what is available, RangeError when the pool that was asked for holds no sequence.
 * On a GPU the pool is an estimate, good enough to refuse a model before it is read, until `loadedBlocks` are known.
 */
export function planMemory(request: MemoryRequest): MemoryPlan {
  const { plan, config, modelMaxLen, device, available, loadedBlocks } = request
  const wanted = config.maxModelLen ?? modelMaxLen
  const positions = positionLimit(plan)
  if (wanted > positions)
    throw new RangeError(
      `maxModelLen: expected at most ${positions}, the positions that the model has learned, found ${wanted}`,
    )
  const limits = stepLimits(config)
  const weights = weightBytes(plan)
  const adapters = device === 'cuda' ? adaptersBytes(plan, config) : 0
  const arena =
    layOutArena(plan, limits).bytes + (device === 'cuda' ? scratchBytes(plan, limits) : 0)
  const layout = new CacheLayout(config.blockSize, plan.caches, !config.enableChunkedPrefill)
  const blockBytes = cacheBlockBytes(plan, config.blockSize)
  const rest =
    device === 'cuda'
      ? available - weights - adapters - arena - blockBytes // beside the null block
      : Math.min(available / 4, 4 * GIB)
  const usefulBlocks = config.maxNumSeqs * layout.blocksHeld(wanted)
  const fixed = config.numGpuBlocksOverride !== null || config.kvCacheMemoryBytes !== null
  const numBlocks = loadedBlocks ?? poolBlocks(config, usefulBlocks, blockBytes, rest)
  const cache = numBlocks * blockBytes
  const hostBlocks = hostPoolBlocks(config, blockBytes)
  const hostCache = hostBlocks * blockBytes
  const hostShare = device === 'cuda' ? 0 : hostCache // a GPU swaps to the host's memory
  if (loadedBlocks === undefined && weights + adapters + cache + hostShare + arena > available) {
    throw new EngineError(
      'out_of_memory',
      `the model needs ${gib(weights)} for weights, ${gib(cache)} for the key/value cache` +
        (adapters > 0 ? `, ${gib(adapters)} for adapters (maxLoras, maxLoraRank)` : '') +
        (hostCache > 0 ? `, ${gib(hostCache)} for swapped blocks` : '') +
        ` and ${gib(arena)} for activations; ${gib(available)} are available`,
    )
  }
  const capacity = layout.capacityOf(numBlocks - 1)
  const maxModelLen = Math.min(wanted, capacity)
  if (!config.enableChunkedPrefill && config.maxNumBatchedTokens < maxModelLen) {
    throw new RangeError(
      `maxNumBatchedTokens: expected at least maxModelLen, which is ${maxModelLen}, ` +
        `with enableChunkedPrefill false, found ${config.maxNumBatchedTokens}`,
    )
  }
  return {
    maxModelLen,
    numBlocks,
    mostBlocks: device === 'cuda' && !fixed ? usefulBlocks + 1 : null,
    hostBlocks,
    limits,
    weights,
    cache,
    hostCache,
    arena,
    notice:
      maxModelLen < wanted
        ? `maxModelLen lowered from ${wanted} to ${maxModelLen}: the cache holds ${capacity} tokens`
        : null,
  }
}

/** The largest step that an engine makes. */
export function stepLimits(config: EngineConfig): PlanLimits {
  const { maxNumBatchedTokens, maxNumSeqs, speculativeConfig } = config
  const drafting = speculativeConfig === null ? 0 : rowsWithDrafts(speculativeConfig)
  const samples = Math.max(maxNumSeqs, drafting)
  return { tokens: maxNumBatchedTokens, sequences: maxNumSeqs, samples }
}

/** What sampling needs beside the arena on a GPU: each row of logits once more. */
function scratchBytes({ vocabSize }: Plan, { samples }: PlanLimits): number {
  return samples * vocabSize * 4
}

/** On the CPU an adapter takes memory when it is loaded, by its own rank. */
function adaptersBytes(plan: Plan, { lora }: EngineConfig): number {
  return lora === null ? 0 : lora.maxLoras * adapterBytes(plan, lora.maxLoraRank)
}

/** The pool: as asked for, else what can be used, at most `room` bytes. */
function poolBlocks(
  config: EngineConfig,
  usefulBlocks: number,
  blockBytes: number,
  room: number,
): number {
  if (config.numGpuBlocksOverride !== null) return config.numGpuBlocksOverride + 1
  const bytes = config.kvCacheMemoryBytes ?? Math.min(usefulBlocks * blockBytes, room)
  const blocks = Math.floor(bytes / blockBytes)
  if (blocks < 1) {
    const option =
      config.kvCacheMemoryBytes === null
        ? `what is left of the memory, ${gib(Math.max(0, room))},`
        : `kvCacheMemoryBytes ${config.kvCacheMemoryBytes}`
    throw new RangeError(`${option} holds no block: one takes ${blockBytes} bytes`)
  }
  return blocks + 1
}

function hostPoolBlocks({ swapSpace }: EngineConfig, blockBytes: number): number {
  if (swapSpace === 0) return 0
  const blocks = Math.floor((swapSpace * GIB) / blockBytes)
  if (blocks < 1)
    throw new RangeError(`swapSpace ${swapSpace} holds no block: one takes ${blockBytes} bytes`)
  return blocks + 1
}

function gib(bytes: number): string {
  return `${(bytes / GIB).toFixed(bytes < GIB / 10 ? 3 : 1)} GiB`
}
