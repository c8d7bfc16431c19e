import type { LLMEngine } from '../../engine/llm-engine.js'
import type { EngineSnapshot } from '../../engine/snapshot.js'

/** What the dashboard needs of an engine. */
export type WatchedEngine = Pick<
  LLMEngine,
  'model' | 'device' | 'config' | 'maxModelLen' | 'snapshot' | 'observe'
>

/** Milliseconds between two frames. */
export const FRAME_INTERVAL = 250
/** Blocks that are drawn one by one; of a larger pool the first ones. */
const MAX_CELLS = 8192

/** A block's cell in a frame: its index, and what holds it. */
type Cell = readonly [block: number, owner: number, count: number]

/** Waits of a kind since the watcher came: how many, and their sum. */
interface Waits {
  count: number
  seconds: number
}

/** What happened since the frame before, as the page reads it. */
export interface Frame {
  readonly time: number
  readonly stats: EngineSnapshot['stats']
  readonly requests: EngineSnapshot['requests']
  /** The cells that changed; of the first frame all that are not free. */
  readonly cells: readonly Cell[]
  /** Waits for first tokens, and between tokens. */
  readonly latency: { readonly firstToken: Waits; readonly nextToken: Waits }
}

/** The first message: what does not change. */
export interface Greeting {
  readonly model: string
  readonly device: string
  readonly blockSize: number
  readonly maxModelLen: number
  readonly maxNumSeqs: number
  readonly blocks: number
}

/** The frames of one watcher: each tells only the blocks that changed for it. */
export class Feed {
  readonly #engine: WatchedEngine
  readonly #owners: Int32Array
  readonly #counts: Int32Array
  readonly #firstToken: Waits = { count: 0, seconds: 0 }
  readonly #nextToken: Waits = { count: 0, seconds: 0 }
  readonly #stop: () => void

  constructor(engine: WatchedEngine) {
    this.#engine = engine
    const blocks = Math.min(engine.snapshot().blocks.owners.length, MAX_CELLS + 1)
    this.#owners = new Int32Array(blocks).fill(-1)
    this.#counts = new Int32Array(blocks)
    this.#stop = engine.observe({
      onFirstToken: (seconds) => addWait(this.#firstToken, seconds),
      onNextToken: (seconds) => addWait(this.#nextToken, seconds),
    })
  }

  greeting(): Greeting {
    const { model, device, config, maxModelLen } = this.#engine
    const { blockSize, maxNumSeqs } = config
    return { model, device, blockSize, maxModelLen, maxNumSeqs, blocks: this.#owners.length - 1 }
  }

  frame(): Frame {
    const { stats, requests, blocks } = this.#engine.snapshot()
    const cells: Cell[] = []
    for (let block = 1; block < this.#owners.length; block++) {
      const owner = blocks.owners[block]!
      const count = blocks.counts[block]!
      if (this.#owners[block] === owner && this.#counts[block] === count) continue
      this.#owners[block] = owner
      this.#counts[block] = count
      cells.push([block, owner, count])
    }
    const latency = { firstToken: { ...this.#firstToken }, nextToken: { ...this.#nextToken } }
    return { time: Date.now(), stats, requests, cells, latency }
  }

  /** Nobody watches any more. */
  close(): void {
    this.#stop()
  }
}

function addWait(waits: Waits, seconds: number): void {
  waits.count++
  waits.seconds += seconds
}
