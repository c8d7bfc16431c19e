// Who waits for whom: npm run bench:fairness -- [MODEL] [--loads 0.9,1.1,1.3,1.6] [--seeds 5] [--requests 400]
// Short requests and a few long ones arrive at random, at several multiples of the rate at which the engine serves
// them when all are there from the start. The same arrivals are served under fcfs and mlfq in turns, with real
// forward passes; drawing is greedy and nothing ends early. Normalized latency is from arrival to the last token,
// over the tokens drawn; figures are medians over the seeds, each of which makes arrivals and requests of its own.
import { parseArgs } from 'node:util'
import { LLMEngine } from '../dist/index.js'
import { median, percentile } from './statistics.mjs'

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    loads: { type: 'string', default: '0.9,1.1,1.3,1.6' },
    seeds: { type: 'string', default: '5' },
    requests: { type: 'string', default: '400' },
  },
})
const model = positionals[0] ?? 'demo'
const loads = given.loads.split(',').map(Number)
const POLICIES = ['fcfs', 'mlfq']

const KINDS = [
  { name: 'short', share: 0.9, promptLength: 16, least: 8, most: 16 },
  { name: 'long', share: 0.1, promptLength: 128, least: 200, most: 600 },
]
const ENGINE = {
  maxNumSeqs: 8,
  maxModelLen: 1024,
  swapSpace: 0.25,
  skipTokenizerInit: true,
  log: false,
}

/** Numbers in [0, 1), the same in every run (mulberry32). */
function makeRandom(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const prompt = (random, length) => ({
  promptTokenIds: Array.from({ length }, () => 300 + Math.floor(random() * 1000)),
})

/** Requests with gaps between arrivals that have the mean 1. */
function makeTrace(seed) {
  const random = makeRandom(seed)
  return Array.from({ length: Number(given.requests) }, () => {
    const kind = random() < KINDS[0].share ? KINDS[0] : KINDS[1]
    return {
      kind: kind.name,
      gap: -Math.log(1 - random()),
      prompt: prompt(random, kind.promptLength),
      maxTokens: kind.least + Math.floor(random() * (kind.most - kind.least + 1)),
    }
  })
}

const drawn = (trace) => trace.reduce((sum, { maxTokens }) => sum + maxTokens, 0)
const sampling = ({ maxTokens }) => ({ maxTokens, temperature: 0, ignoreEos: true })
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** A loaded engine that has served something. */
async function load(schedulingPolicy) {
  const engine = await LLMEngine.load(model, { ...ENGINE, schedulingPolicy })
  await engine.generate(prompt(makeRandom(1), 64), { maxTokens: 64, ignoreEos: true })
  return engine
}

/** Tokens a second when every request is there from the start. */
async function capacityFor(trace) {
  const engine = await load('fcfs')
  const began = performance.now()
  await engine.generate(
    trace.map(({ prompt }) => prompt),
    trace.map(sampling),
  )
  const seconds = (performance.now() - began) / 1000
  await engine.close()
  return drawn(trace) / seconds
}

/** Serves a trace with so many seconds between arrivals on average. */
async function serve(trace, schedulingPolicy, gapSeconds) {
  const engine = await load(schedulingPolicy)
  const began = performance.now()
  const cpuBefore = process.cpuUsage()
  let arrival = 0
  const latencies = await Promise.all(
    trace.map(async (request) => {
      arrival += request.gap * gapSeconds * 1000
      const due = began + arrival
      await sleep(due - performance.now())
      await engine.generate(request.prompt, sampling(request))
      return (performance.now() - due) / request.maxTokens
    }),
  )
  const seconds = (performance.now() - began) / 1000
  const cpu = process.cpuUsage(cpuBefore)
  const { preemptions, steps } = engine.stats()
  await engine.close()
  const of = (kind) => latencies.filter((_, i) => trace[i].kind === kind)
  return {
    'tokens/s': drawn(trace) / seconds,
    'CPU µs a token': (cpu.user + cpu.system) / drawn(trace),
    steps,
    'short: p50': percentile(of('short'), 0.5),
    'short: p95': percentile(of('short'), 0.95),
    'long: mean': mean(of('long')),
    'long: p95': percentile(of('long'), 0.95),
    preemptions,
  }
}

const mean = (list) => list.reduce((sum, x) => sum + x, 0) / list.length
const digits = (x) => x.toFixed(x < 100 ? 1 : 0)

/** Both policies on each seed's trace: results by policy, in the order of the seeds. */
async function compare(load) {
  const results = { fcfs: [], mlfq: [] }
  for (let seed = 1; seed <= Number(given.seeds); seed++) {
    const trace = makeTrace(seed)
    const gap = drawn(trace) / (await capacityFor(trace)) / load / trace.length
    for (const policy of POLICIES) results[policy].push(await serve(trace, policy, gap))
  }
  return results
}

function print(load, { fcfs, mlfq }) {
  console.log(
    `\narrivals at ${load} times what ${model} serves        fcfs      mlfq     mlfq / fcfs, of each seed`,
  )
  for (const name of Object.keys(fcfs[0])) {
    const [one, other] = [fcfs, mlfq].map((list) => median(list.map((result) => result[name])))
    const ratios = mlfq.map((result, i) => result[name] / fcfs[i][name])
    const shown =
      one === 0 ? '' : `${median(ratios).toFixed(2)}   ${ratios.map((x) => x.toFixed(2)).join(' ')}`
    console.log(
      `  ${name.padEnd(40)}${digits(one).padStart(9)} ${digits(other).padStart(9)}     ${shown}`,
    )
  }
}

console.log(`${given.requests} requests, ${given.seeds} seeds; latencies in ms a token`)
for (const load of loads) print(load, await compare(load))
