// One process of bench/serve.mjs: computes its requests with no server, or streams them to a client.
// Tells the milliseconds of all runs, the CPU time of its main thread, and a digest of the texts.
import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { LLMEngine } from 'octavo'
import { createHandler, toNodeListener } from 'octavo/server'
import { threadTime } from './thread-time.mjs'

const { subject, model, streams, tokens: maxTokens, runs, warmup } = JSON.parse(process.argv[2])
const prompts = Array.from({ length: streams }, (_, i) => `${i}. Once upon a time`)
const engine = await LLMEngine.load(model, { maxNumSeqs: streams, log: false })
const { run, delay, close } = subject === 'served' ? await served() : alone()

const digest = createHash('sha256')
const sum = { wall: 0, cpu: 0, events: 0 }
for (let i = 0; i < warmup + runs; i++) {
  const cpu = threadTime()
  const start = performance.now()
  const result = await run()
  const spent = { wall: performance.now() - start, cpu: threadTime() - cpu }
  const { texts, events } = await result()
  digest.update(texts.join('\0'))
  if (i < warmup) continue
  sum.wall += spent.wall
  sum.cpu += spent.cpu
  sum.events += events
}
process.send({ ...sum, texts: digest.digest('hex'), delay: await delay() })
await close()
await engine.close()
process.disconnect()

function alone() {
  const params = prompts.map(() => ({ maxTokens, ignoreEos: true, seed: 1 })) // as requests bring them
  const run = async () => {
    const outputs = await engine.generate(prompts, params)
    return () => ({ texts: outputs.map(({ outputs: [{ text }] }) => text), events: 0 })
  }
  return { run, delay: () => 0, close: () => undefined }
}

async function served() {
  const server = createServer(toNodeListener(createHandler(engine))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = fork(new URL('serve-client.mjs', import.meta.url), { stdio: 'inherit' })
  client.once('exit', (code) => code === 0 || process.exit(1)) // no answer would come
  const run = async () => {
    client.send({ port: server.address().port, prompts, maxTokens })
    await once(client, 'message')
    return async () => (await once(client, 'message'))[0]
  }
  /** In a run of its own, as the timer of the monitor takes time too: p99 in milliseconds. */
  const delay = async () => {
    const monitor = monitorEventLoopDelay({ resolution: 1 })
    monitor.enable()
    const result = await run()
    monitor.disable()
    await result()
    return monitor.percentile(99) / 1e6
  }
  const close = () => {
    client.disconnect()
    server.close()
  }
  return { run, delay, close }
}
