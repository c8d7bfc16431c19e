import { Worker } from 'node:worker_threads'
import { EngineError } from '../errors.js'
import type { SharedMaskRows, StepMasks } from '../native/draw-rules.js'
import type { Sequence } from '../scheduling/sequence.js'
import { GrammarCache, type CachedGrammar } from './grammar-cache.js'
import { MaskMemory } from './mask-memory.js'
import type { CompileReply, MaskRequest } from './mask-server.js'
import type { MaskWorkerData } from './mask-worker.js'
import type { OutputSpec } from './spec.js'
import type { TokenBytes } from './token-trie.js'

/** Tickets are positive and fit the wire format. */
const MAX_TICKET = 2 ** 28

/** One sequence of a request, as the thread knows it. */
interface Cursor {
  readonly matcher: number
  /** Output tokens that the thread was told of, and how many of these are no drafts. */
  told: number
  drawn: number
}

/**
 * Masks for outputs that must follow a grammar. A thread of its own computes those of a step while the
 * device computes its logits; the engine thread waits for them only before it draws. The thread starts
 * with the first grammar, and does not keep the process alive.
 */
export class StructuredMasks implements StepMasks {
  readonly memory: MaskMemory
  readonly #tokens: () => TokenBytes
  readonly #words: number
  readonly #grammars: GrammarCache
  readonly #compiling = new Map<number, (error: Error | null) => void>()
  #worker: Worker | null = null
  #closed = false
  #nextMatcher = 0
  #ticket = 0
  /** Rows asked of the step that is put together, and what the thread is to do for them. */
  #rows = 0
  #orders: number[] = []

  /**
   * @param rows tokens that one step may draw
   * @param tokens read when the first grammar comes
   */
  constructor(rows: number, vocabSize: number, tokens: () => TokenBytes) {
    this.#words = Math.ceil(vocabSize / 32)
    this.memory = new MaskMemory(rows, this.#words)
    this.#tokens = tokens
    this.#grammars = new GrammarCache(
      (id, spec) => this.#compile(id, spec),
      (grammars) => this.#post({ kind: 'forget', matchers: [], grammars }),
    )
  }

  /**
   * Compiles a grammar, or finds it compiled; gives the masks of one request. Rejects with TypeError or
   * RangeError where the grammar is wrong or beyond the limits.
   */
  async open(spec: OutputSpec): Promise<RequestMasks> {
    const grammar = await this.#grammars.take(spec)
    const cursors = new Map<number, Cursor>()
    const cursorOf = ({ index }: Sequence) => {
      const cursor = cursors.get(index) ?? { matcher: this.#nextMatcher++, told: 0, drawn: 0 }
      cursors.set(index, cursor)
      return cursor
    }
    return {
      rowOf: (sequence, drafts) => this.#order(cursorOf(sequence), grammar, sequence, drafts),
      close: () => {
        this.#grammars.release(grammar)
        const matchers = [...cursors.values()].map(({ matcher }) => matcher)
        if (matchers.length > 0) this.#post({ kind: 'forget', matchers, grammars: [] })
      },
    }
  }

  /** Begins a step: gives its ticket. */
  begin(): number {
    this.#rows = 0
    this.#orders.length = 0
    return (this.#ticket = (this.#ticket % (MAX_TICKET - 1)) + 1)
  }

  /** Sends the thread off to what the step asked for. */
  send(): void {
    if (this.#rows === 0) return
    const orders = Int32Array.from(this.#orders)
    if (this.#worker === null) this.#giveUp()
    else this.#post({ kind: 'masks', ticket: this.#ticket, orders })
  }

  async close(): Promise<void> {
    this.#closed = true
    const worker = this.#worker
    this.#lose(new EngineError('closed', 'the engine is closed'))
    await worker?.terminate()
  }

  /** Drafts of a step before are taken back, as they may have been wrong; those that were right are told again. */
  #order(cursor: Cursor, grammar: CachedGrammar, sequence: Sequence, drafts: number): number {
    const { promptLength, outputLength, tokens, length } = sequence
    const kept = drafts > 0 ? cursor.told : cursor.drawn
    const back = cursor.told - kept
    const fresh = tokens.subarray(promptLength + kept, length + drafts)
    cursor.told = outputLength + drafts
    cursor.drawn = outputLength
    this.#orders.push(this.#rows, cursor.matcher, grammar.id, back, fresh.length, ...fresh)
    return this.#rows++
  }

  #compile(grammar: number, spec: OutputSpec): Promise<void> {
    if (this.#closed) return Promise.reject(new EngineError('closed', 'the engine is closed'))
    const worker = (this.#worker ??= this.#start())
    return new Promise((resolve, reject) => {
      this.#compiling.set(grammar, (error) => {
        if (error === null) resolve()
        else reject(error)
      })
      worker.ref()
      worker.postMessage({ kind: 'compile', grammar, spec } satisfies MaskRequest)
    })
  }

  #start(): Worker {
    const { ints, rows } = this.memory
    const workerData: MaskWorkerData = { tokens: this.#tokens(), ints, rows, words: this.#words }
    const worker = new Worker(workerFile(), { workerData, execArgv: [] })
    worker.unref()
    worker.on('message', (reply: CompileReply) => {
      const settle = this.#compiling.get(reply.grammar)
      this.#compiling.delete(reply.grammar)
      if (this.#compiling.size === 0) worker.unref()
      settle?.(reply.error)
    })
    const lose = (error: Error) => {
      if (this.#worker === worker) this.#lose(error)
    }
    worker.on('error', lose)
    worker.on('exit', () => lose(new Error('the thread of structured outputs ended')))
    return worker
  }

  #post(request: MaskRequest): void {
    this.#worker?.postMessage(request)
  }

  /** Grammars are gone with their thread: requests that need them end, and new ones start another. */
  #lose(error: Error): void {
    this.#worker = null
    this.#grammars.clear()
    for (const settle of this.#compiling.values()) settle(error)
    this.#compiling.clear()
    this.#giveUp()
  }

  /** Nobody will write the step's masks: none of its tokens is allowed, which ends those requests. */
  #giveUp(): void {
    for (let row = 0; row < this.#rows; row++) {
      if (!this.memory.isReady(row, this.#ticket)) this.memory.publish(row, this.#ticket, null)
    }
  }
}

/** The masks of one request. */
export interface RequestMasks extends SharedMaskRows {
  /** The request is over. */
  close(): void
}

/** The compiled module; from TypeScript sources, as tests run them, that of the last build. */
function workerFile(): URL {
  const compiled = import.meta.url.endsWith('.ts') ? '../../dist/structured/' : './'
  return new URL(`${compiled}mask-worker.js`, import.meta.url)
}
