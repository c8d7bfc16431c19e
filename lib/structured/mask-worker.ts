import { parentPort, workerData } from 'node:worker_threads'
import { MaskMemory } from './mask-memory.js'
import { MaskServer, type MaskRequest } from './mask-server.js'
import type { TokenBytes } from './token-trie.js'

/** What the thread starts with. */
export interface MaskWorkerData {
  readonly tokens: TokenBytes
  readonly ints: Int32Array
  readonly rows: number
  readonly words: number
}

const { tokens, ints, rows, words } = workerData as MaskWorkerData
const server = new MaskServer(tokens, new MaskMemory(rows, words, ints))
parentPort?.on('message', (request: MaskRequest) => {
  const reply = server.handle(request)
  if (reply !== null) parentPort?.postMessage(reply)
})
