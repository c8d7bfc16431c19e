// npm run bench:serve-memory -- [--model demo] [--requests 10000] [--streams 100] [--tokens 16]
// Whether a server's memory stays flat: streams requests to a client in another process, and after every
// tenth of them collects garbage and looks. What is there after the first tenth is what later ones are
// compared with: by then the small pool has been filled with prompts of the past. Prompts differ but share
// their words, of which a tokenizer remembers up to 10,000.
import { fork } from 'node:child_process'
import { on, once } from 'node:events'
import { createServer } from 'node:http'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { LLMEngine } from 'octavo'
import { createHandler, toNodeListener } from 'octavo/server'

const flag = (value) => ({ type: 'string', default: value })
const { values } = parseArgs({
  options: {
    model: flag('demo'),
    requests: flag('10000'),
    streams: flag('100'),
    tokens: flag('16'),
  },
})
const [requests, streams, maxTokens] = [values.requests, values.streams, values.tokens].map(Number)

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc')

const engine = await LLMEngine.load(values.model, {
  maxNumSeqs: streams,
  numGpuBlocksOverride: 512,
  log: false,
})
const server = createServer(toNodeListener(createHandler(engine))).listen(0, '127.0.0.1')
await once(server, 'listening')
const client = fork(new URL('serve-client.mjs', import.meta.url), { stdio: 'inherit' })
const { port } = server.address()
const messages = on(client, 'message')

let first = null
for (let sent = 0, look = requests / 10; sent < requests;) {
  const prompts = Array.from(
    { length: streams },
    (_, i) => `${sent / streams} ${i}. Once upon a time`,
  )
  client.send({ port, prompts, maxTokens })
  await answer()
  sent += streams
  if (sent < look) continue
  look += requests / 10
  const now = await memory()
  first ??= now
  console.log(
    `${sent} requests: heap ${show(now.heap, first.heap)}, resident ${show(now.resident, first.resident)}, ` +
      `${engine.stats().usedBlocks} blocks in use`,
  )
}
engine.checkIntegrity()
client.disconnect()
server.close()
await engine.close()

/** Waits for what the client read; that all has ended it tells before. */
async function answer() {
  for (;;) {
    const { value } = await messages.next()
    if (value[0].texts) return
  }
}

/** Bytes, when nothing is left that nobody refers to. */
async function memory() {
  for (let i = 0; i < 4; i++) {
    collectGarbage()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const { heapUsed, rss } = process.memoryUsage()
  return { heap: heapUsed, resident: rss }
}

function show(bytes, before) {
  const growth = 100 * (bytes / before - 1)
  return `${(bytes / 2 ** 20).toFixed(1)} MiB (${growth < 0 ? '' : '+'}${growth.toFixed(1)} %)`
}
