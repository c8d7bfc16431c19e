// npm run bench:serve [streams]     What the server costs beside the engine, on models/demo.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { Worker, isMainThread, workerData, parentPort } from 'node:worker_threads'
import { monitorEventLoopDelay } from 'node:perf_hooks'

if (!isMainThread) await readStreams(workerData)
else await measure(Number(process.argv[2] ?? 200))

/** Serves streams, computes the same requests without a server, and compares the CPU time of this thread. */
async function measure(streams) {
  const { LLMEngine } = await import('octavo')
  const { createHandler, toNodeListener } = await import('octavo/server')
  const engine = await LLMEngine.load('demo', { maxNumSeqs: streams, log: false })
  const server = createServer(toNodeListener(createHandler(engine))).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const params = { maxTokens: 200, ignoreEos: true, seed: 1 }
  const prompts = Array.from({ length: streams }, (_, i) => `${i}. Once upon a time`)
  const offline = () => engine.generate(prompts, params)
  const online = async () => {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { port: server.address().port, prompts },
    })
    return new Promise((resolve, reject) => {
      worker.once('message', resolve).once('error', reject)
    })
  }
  await offline()
  const outputs = await offline()
  await online()
  const alone = await timed(offline)
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const served = await timed(online)
  delay.disable()
  const { events, texts } = served.value
  const correct = outputs.filter(({ outputs: [{ text }] }, i) => text === texts[i]).length
  const tokens = streams * params.maxTokens
  const extra = (served.cpu - alone.cpu) * 1000
  console.log(
    [
      `${streams} streams of ${params.maxTokens} tokens, ${correct} of them correct`,
      `${events} events, ${(tokens / events).toFixed(1)} tokens an event`,
      `engine alone ${alone.wall.toFixed(0)} ms, served ${served.wall.toFixed(0)} ms`,
      `main thread's CPU beyond the engine's: ${(extra / events).toFixed(1)} µs an event, ${(extra / tokens).toFixed(2)} µs a token`,
      `event-loop delay p50 ${(delay.percentile(50) / 1e6).toFixed(1)} ms, p99 ${(delay.percentile(99) / 1e6).toFixed(1)} ms`,
    ].join('\n'),
  )
  server.closeAllConnections()
  server.close()
  await engine.close()
}

/** Wall time and the CPU time of this thread, in milliseconds. */
async function timed(run) {
  const before = threadTime()
  const start = performance.now()
  const value = await run()
  return { value, wall: performance.now() - start, cpu: threadTime() - before }
}

/** Linux counts the nanoseconds of each thread; the main one has the process's number. */
function threadTime() {
  const [nanoseconds] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')
  return Number(nanoseconds) / 1e6
}

/** The client, on a thread of its own. */
async function readStreams({ port, prompts }) {
  const results = await Promise.all(
    prompts.map(async (prompt) => {
      const response = await fetch(`http://127.0.0.1:${port}/v1/completions`, {
        method: 'POST',
        body: JSON.stringify({ prompt, max_tokens: 200, ignore_eos: true, seed: 1, stream: true }),
      })
      const events = (await response.text()).split('\n\n').filter(Boolean).slice(0, -1)
      const chunks = events.map((event) => JSON.parse(event.slice('data: '.length)))
      return { events: events.length, text: chunks.map(({ choices }) => choices[0].text).join('') }
    }),
  )
  const events = results.reduce((sum, result) => sum + result.events, 0)
  parentPort.postMessage({ events, texts: results.map(({ text }) => text) })
}
