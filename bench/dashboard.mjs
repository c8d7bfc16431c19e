// What an open dashboard costs the server, in CPU time of its main thread: the same requests are computed with
// nobody watching and with a client in another process that reads the page's events, in turns; then the same
// while nothing runs. node bench/dashboard.mjs [MODEL] [ROUNDS]
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { LLMEngine } from 'octavo'
import { createHandler, toNodeListener } from 'octavo/server'
import { median } from './statistics.mjs'
import { threadTime } from './thread-time.mjs'
import { Feed, FRAME_INTERVAL } from '../dist/server/dashboard/feed.js'

const [model = 'demo', rounds = '6'] = process.argv.slice(2)
const engine = await LLMEngine.load(model, { log: false })
const server = createServer(toNodeListener(createHandler(engine))).listen(0, '127.0.0.1')
await once(server, 'listening')
const url = `http://127.0.0.1:${server.address().port}/dashboard/events`
const READER = `let frames = 0
process.on('SIGTERM', () => { process.send(frames); process.disconnect(); process.exit() })
for await (const text of (await fetch(process.argv[1])).body.pipeThrough(new TextDecoderStream()))
  if ((frames += text.split('event: frame').length - 1) === 1) process.send('watching')`

const prompts = Array.from({ length: 200 }, (_, i) => `${i}. Once upon a time`)
const work = () =>
  engine.generate([...prompts, ...prompts], { maxTokens: 200, ignoreEos: true, seed: 1 })

/** Milliseconds of this thread and of the clock that a task takes. */
async function timed(task) {
  const [cpu, start] = [threadTime(), performance.now()]
  await task()
  return { cpu: threadTime() - cpu, wall: performance.now() - start }
}

let frames = 0
async function watched(task) {
  const arguments_ = ['--input-type=module', '--eval', READER, url]
  const reader = spawn(process.execPath, arguments_, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  await once(reader, 'message')
  const times = await timed(task)
  reader.kill('SIGTERM')
  frames += (await once(reader, 'message'))[0]
  return times
}

async function compare(name, task) {
  const pairs = []
  for (let round = 0; round < Number(rounds); round++)
    pairs.push([await timed(task), await watched(task)])
  const share = (pick) => median(pairs.map(pick)) * 100
  const costs = pairs.map(([alone, seen]) => (100 * (seen.cpu - alone.cpu)) / seen.wall)
  console.log(
    `${name}: main thread ${share(([alone]) => alone.cpu / alone.wall).toFixed(1)} % of a core alone, ` +
      `the dashboard adds ${median(costs).toFixed(2)} % (${Math.min(...costs).toFixed(2)} to ${Math.max(...costs).toFixed(2)})`,
  )
}

/** What the frames alone take: they are made at once, so their time on the clock is the thread's. */
async function timeFrames() {
  const feed = new Feed(engine)
  const times = []
  const timer = setInterval(() => {
    const start = performance.now()
    JSON.stringify(feed.frame())
    times.push(performance.now() - start)
  }, FRAME_INTERVAL / 10)
  await work()
  clearInterval(timer)
  feed.close()
  const milliseconds = median(times)
  const share = (milliseconds / FRAME_INTERVAL) * 100
  console.log(
    `a frame amid 400 requests ${milliseconds.toFixed(2)} ms: ${share.toFixed(2)} % of a core`,
  )
}

await work()
await timeFrames()
await compare('1,200 requests', async () => {
  for (let time = 0; time < 3; time++) await work()
})
await compare('nothing', () => sleep(2000))
console.log(`${frames} frames were read`)
server.closeAllConnections()
server.close()
await engine.close()
