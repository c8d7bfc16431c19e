import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import { EngineError } from '../errors.js'

/** What the worker is told: all that a Hugging Face tokenizer is made of. */
export interface TokenizerSource {
  /** Text of tokenizer.json. */
  readonly tokenizerJson: string
  /** Parts that the library wants to see, for a tokenizer.json without them. */
  readonly absentParts: object
  readonly config: object
}

interface Reply {
  readonly id: number
  readonly tokenIds?: Int32Array<ArrayBuffer>
  readonly error?: string
}

interface Waiting {
  resolve(tokenIds: Int32Array): void
  reject(error: unknown): void
}

/**
 * The worker's program. As text it runs alike from the TypeScript source, from the compiled modules
 * and inside an application's bundle; it needs only the tokenizer library, whose path it is given.
 */
const PROGRAM = `
const { parentPort, workerData } = require('node:worker_threads')
const { Tokenizer } = require(workerData.library)
const { tokenizerJson, absentParts, config } = workerData.source
const tokenizer = new Tokenizer({ ...absentParts, ...JSON.parse(tokenizerJson) }, config)
parentPort.on('message', ({ id, text, addSpecialTokens }) => {
  try {
    const { ids } = tokenizer.encode(text, { add_special_tokens: addSpecialTokens })
    const tokenIds = Int32Array.from(ids.filter((tokenId) => tokenId !== undefined))
    parentPort.postMessage({ id, tokenIds }, [tokenIds.buffer])
  } catch (error) {
    parentPort.postMessage({ id, error: String(error) })
  }
})
`

/**
 * Encodes long texts away from the event loop, on one thread that starts with the first text. The
 * process can end while the thread is idle, not while a text is being encoded.
 */
export class EncodeWorker {
  readonly #source: () => TokenizerSource
  readonly #waiting = new Map<number, Waiting>()
  #worker: Worker | null = null
  #nextId = 0
  #closed = false

  /** @param source asked for when the first text comes: a large text, which few engines need */
  constructor(source: () => TokenizerSource) {
    this.#source = source
  }

  encode(text: string, addSpecialTokens: boolean): Promise<Int32Array> {
    if (this.#closed) return Promise.reject(closedError())
    const worker = (this.#worker ??= this.#start())
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      worker.ref()
      worker.postMessage({ id, text, addSpecialTokens })
    })
  }

  /** Ends the thread; texts still being encoded reject with `closed`. */
  async close(): Promise<void> {
    this.#closed = true
    const worker = this.#worker
    this.#lose(closedError())
    await worker?.terminate()
  }

  #start(): Worker {
    const library = createRequire(import.meta.url).resolve('@huggingface/tokenizers')
    const worker = new Worker(PROGRAM, {
      eval: true,
      execArgv: [], // the process's own, such as --input-type=module, would change what the text is
      workerData: { library, source: this.#source() },
    })
    worker.on('message', (reply: Reply) => this.#settle(worker, reply))
    worker.on('error', (error) => this.#lose(error))
    worker.on('exit', () => {
      if (this.#worker === worker) this.#lose(new Error('the tokenizer thread ended'))
    })
    return worker
  }

  #settle(worker: Worker, { id, tokenIds, error }: Reply): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (this.#waiting.size === 0) worker.unref()
    if (tokenIds) waiting?.resolve(tokenIds)
    else waiting?.reject(new Error(error))
  }

  /** The next text starts a new thread. */
  #lose(error: unknown): void {
    this.#worker = null
    for (const waiting of this.#waiting.values()) waiting.reject(error)
    this.#waiting.clear()
  }
}

function closedError(): EngineError {
  return new EngineError('closed', 'the tokenizer was closed')
}
