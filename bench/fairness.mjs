// Who waits for whom: node bench/fairness.mjs [MODEL] [--load=1.2] [--requests=400] [--trials=5]
// Short requests and a few long ones arrive at random, faster than the engine's places become free.
// The same arrivals are served under fcfs and mlfq in turns, with real forward passes; drawing is greedy
// and nothing ends early. Normalized latency is from arrival to the last token, over the tokens drawn;
// figures are medians of the trials.
import { LLMEngine } from '../dist/index.js'

const args = process.argv.slice(2)
const given = Object.fromEntries(
  args.filter((arg) => arg.startsWith('--')).map((arg) => arg.slice(2).split('=')),
)
const { load = '1.2', requests = '400', trials = '5' } = given
const model = args.find((arg) => !arg.startsWith('--')) ?? 'demo'

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

const random = makeRandom(7)
const prompt = (length) => Array.from({ length }, () => 300 + Math.floor(random() * 1000))

/** Requests with gaps between arrivals that have the mean 1. */
const trace = Array.from({ length: Number(requests) }, () => {
  const kind = random() < KINDS[0].share ? KINDS[0] : KINDS[1]
  return {
    kind: kind.name,
    gap: -Math.log(1 - random()),
    prompt: { promptTokenIds: prompt(kind.promptLength) },
    maxTokens: kind.least + Math.floor(random() * (kind.most - kind.least + 1)),
  }
})
const tokens = trace.reduce((sum, { maxTokens }) => sum + maxTokens, 0)
const sampling = ({ maxTokens }) => ({ maxTokens, temperature: 0, ignoreEos: true })
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Seconds that the whole trace takes with every request there from the start, once all is warm. */
async function drain() {
  const engine = await LLMEngine.load(model, ENGINE)
  let seconds
  for (let trial = 0; trial < 2; trial++) {
    const began = performance.now()
    await engine.generate(
      trace.map(({ prompt }) => prompt),
      trace.map(sampling),
    )
    seconds = (performance.now() - began) / 1000
    engine.resetPrefixCache()
  }
  await engine.close()
  return seconds
}

/** Serves the trace with so many seconds between arrivals on average. */
async function serve(schedulingPolicy, gapSeconds) {
  const engine = await LLMEngine.load(model, { ...ENGINE, schedulingPolicy })
  await engine.generate({ promptTokenIds: prompt(64) }, { maxTokens: 64, ignoreEos: true })
  const began = performance.now()
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
  const { preemptions, swapOuts } = engine.stats()
  await engine.close()
  const of = (kind) => latencies.filter((_, i) => trace[i].kind === kind)
  return {
    'tokens/s': tokens / seconds,
    'short: mean ms a token': mean(of('short')),
    'short: p50': percentile(of('short'), 0.5),
    'short: p95': percentile(of('short'), 0.95),
    'long: mean ms a token': mean(of('long')),
    'long: p95': percentile(of('long'), 0.95),
    preemptions,
    'of these swapped out': swapOuts,
  }
}

const mean = (list) => list.reduce((sum, x) => sum + x, 0) / list.length
const percentile = (list, share) => list.sort((a, b) => a - b)[Math.ceil(share * list.length) - 1]

const capacity = tokens / (await drain())
const gap = tokens / capacity / Number(load) / trace.length
console.log(
  `${trace.length} requests, ${tokens} tokens; all at once: ${capacity.toFixed(0)} tokens/s; ` +
    `they arrive at ${load} times that rate`,
)
const results = { fcfs: [], mlfq: [] }
for (let trial = 0; trial < Number(trials); trial++) {
  for (const policy of Object.keys(results)) results[policy].push(await serve(policy, gap))
}
const median = (policy, name) =>
  percentile(
    results[policy].map((result) => result[name]),
    0.5,
  )
console.log(`${''.padEnd(24)}${'fcfs'.padStart(9)}${'mlfq'.padStart(9)}    mlfq / fcfs`)
for (const name of Object.keys(results.fcfs[0])) {
  const [fcfs, mlfq] = [median('fcfs', name), median('mlfq', name)]
  const cells = [fcfs, mlfq].map((x) => x.toFixed(x < 100 ? 1 : 0).padStart(9))
  console.log(`${name.padEnd(24)}${cells.join('')}    ${fcfs > 0 ? (mlfq / fcfs).toFixed(2) : '–'}`)
}
