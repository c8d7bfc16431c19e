// npm run bench:serve -- [--model demo] [--streams 200] [--tokens 200] [--rounds 4]
// What the server costs beside the engine: the same requests are computed with no server, and streamed to
// a client in another process. CPU times are those of this process's main thread.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { LLMEngine } from 'octavo'
import { createHandler, toNodeListener } from 'octavo/server'
import { threadTime } from './thread-time.mjs'

const flag = (value) => ({ type: 'string', default: value })
const { values } = parseArgs({
  options: { model: flag('demo'), streams: flag('200'), tokens: flag('200'), rounds: flag('4') },
})
const [streams, maxTokens, rounds] = [values.streams, values.tokens, values.rounds].map(Number)

const engine = await LLMEngine.load(values.model, { maxNumSeqs: streams, log: false })
const server = createServer(toNodeListener(createHandler(engine))).listen(0, '127.0.0.1')
await once(server, 'listening')
const client = fork(new URL('serve-client.mjs', import.meta.url), { stdio: 'inherit' })

const prompts = Array.from({ length: streams }, (_, i) => `${i}. Once upon a time`)
const params = prompts.map(() => ({ maxTokens, ignoreEos: true, seed: 1 })) // as requests bring them
const offline = () => engine.generate(prompts, params)
const online = async () => {
  client.send({ port: server.address().port, prompts, maxTokens })
  const [result] = await once(client, 'message')
  return result
}

const expected = (await offline()).map(({ outputs: [{ text }] }) => text)
await online()
const delay = monitorEventLoopDelay({ resolution: 1 })
const alone = { wall: 0, cpu: 0 }
const served = { wall: 0, cpu: 0 }
let events = 0
let wrong = 0
for (let round = 0; round < rounds; round++) {
  await add(alone, offline)
  delay.enable()
  const result = await add(served, online)
  delay.disable()
  events += result.events
  wrong += result.texts.filter((text, i) => text !== expected[i]).length
}
client.disconnect()
server.close()
await engine.close()

const tokens = rounds * streams * maxTokens
const extra = (served.cpu - alone.cpu) * 1000
const speed = ({ wall }) => `${((1000 * tokens) / wall).toFixed(0)} tokens/s`
const milliseconds = (nanoseconds) => `${(nanoseconds / 1e6).toFixed(1)} ms`
console.log(
  [
    `${rounds} rounds of ${streams} streams of ${maxTokens} tokens, ${wrong} of them wrong`,
    `${(tokens / events).toFixed(1)} tokens an event`,
    `engine alone ${speed(alone)}, served ${speed(served)}: ${(100 * (1 - alone.wall / served.wall)).toFixed(1)} % less`,
    `main thread: engine alone ${((alone.cpu * 1000) / tokens).toFixed(2)} µs a token; the server adds ` +
      `${(extra / events).toFixed(1)} µs an event, ${(extra / tokens).toFixed(2)} µs a token`,
    `event-loop delay p50 ${milliseconds(delay.percentile(50))}, p99 ${milliseconds(delay.percentile(99))}`,
  ].join('\n'),
)

/** Adds the wall time of a run and the CPU time of this thread, in milliseconds; gives what it gave. */
async function add(sum, run) {
  const cpu = threadTime()
  const start = performance.now()
  const value = await run()
  sum.wall += performance.now() - start
  sum.cpu += threadTime() - cpu
  return value
}
