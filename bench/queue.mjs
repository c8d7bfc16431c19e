// What scheduling costs with a long queue: npm run bench:queue -- [--running 256] [--waiting 10000] [--steps 3000]
// Times schedule and commit, with no device behind, of so many decoding sequences while so many requests wait,
// each policy in a process of its own. Steps that a garbage collection or another process interrupted are left
// out of the last column of times.
import { spawnSync } from 'node:child_process'
import { PerformanceObserver } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import v8 from 'node:v8'
import vm from 'node:vm'
import { resolveSamplingParams } from '../dist/engine/check-sampling.js'
import { fcfs, mlfq, priority } from '../dist/scheduling/policy.js'
import { Scheduler } from '../dist/scheduling/scheduler.js'
import { SequenceGroup } from '../dist/scheduling/sequence.js'
import { percentile } from './statistics.mjs'

const { values } = parseArgs({
  options: {
    running: { type: 'string', default: '256' },
    waiting: { type: 'string', default: '10000' },
    steps: { type: 'string', default: '3000' },
    policy: { type: 'string' },
  },
})
const [running, waiting, steps] = [values.running, values.waiting, values.steps].map(Number)
const PROMPT = 600
const WARM_UP = 300

v8.setFlagsFromString('--expose-gc')
const collectGarbage = vm.runInNewContext('gc')
const limits = { vocabSize: 49_152, maxLogprobs: 0, maxNumSeqs: running, hasTokenizer: false }
const params = resolveSamplingParams({ maxTokens: 4096 }, { ...limits, defaultMaxTokens: 16 })

function request(i) {
  const promptTokenIds = Int32Array.from({ length: PROMPT }, (_, j) => (i * 7919 + j * 31) % 49_152)
  return new SequenceGroup({ requestId: `r${i}`, promptTokenIds, params, seedLow: i, seedHigh: 0 })
}

/** Bytes that this thread's objects and arrays take. */
function memory() {
  collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

function step(scheduler, tokenIds) {
  const scheduled = scheduler.schedule()
  scheduler.commit(scheduled, { tokenIds, seconds: 0.03 }, () => null)
  return scheduled
}

async function measure(policy) {
  const scheduler = new Scheduler({
    blockSize: 16,
    numBlocks: running * 320,
    hostBlocks: (running + waiting) * 50,
    maxNumBatchedTokens: 2048,
    maxNumSeqs: running,
    maxSamples: running,
    policy,
  })
  const tokenIds = new Int32Array(running).fill(7)
  for (let i = 0; i < running; i++) scheduler.add(request(i))
  while (step(scheduler, tokenIds).sampleCount < running);
  const before = memory()
  for (let i = 0; i < waiting; i++) scheduler.add(request(running + i))
  const queueBytes = memory() - before

  for (let i = 0; i < WARM_UP; i++) step(scheduler, tokenIds)
  const collections = []
  const observer = new PerformanceObserver((list) => collections.push(...list.getEntries()))
  observer.observe({ entryTypes: ['gc'] })
  const times = []
  for (let i = 0; i < steps; i++) {
    const switches = process.resourceUsage().involuntaryContextSwitches
    const began = performance.now()
    step(scheduler, tokenIds)
    const ms = performance.now() - began
    const interrupted = process.resourceUsage().involuntaryContextSwitches > switches
    times.push({ began, ms, interrupted })
    if (i % 100 === 99) await new Promise(setImmediate) // lets the observer run
  }
  observer.disconnect()
  const { preemptions } = scheduler.stats
  return { times, collections, queueBytes, preemptions }
}

const microseconds = (ms) => `${(1000 * ms).toFixed(0)} µs`.padStart(9)
const took = (list, share) =>
  microseconds(
    percentile(
      list.map(({ ms }) => ms),
      share,
    ),
  )

async function report(policy) {
  const { times, collections, queueBytes, preemptions } = await measure(policy)
  const collected = ({ began, ms }) =>
    collections.some((one) => one.startTime < began + ms && one.startTime + one.duration > began)
  const own = times.filter((time) => !time.interrupted && !collected(time))
  const cells = [
    took(times, 0.5),
    took(times, 0.99),
    took(own, 0.99),
    String(times.filter(collected).length).padStart(11),
    String(times.filter(({ interrupted }) => interrupted).length).padStart(12),
    String(preemptions).padStart(12),
    `${(queueBytes / 1e6).toFixed(0)} MB`.padStart(7),
  ]
  console.log(policy.name.padEnd(9) + cells.join(''))
}

const policies = { fcfs, priority, mlfq: mlfq() }
if (values.policy !== undefined) await report(policies[values.policy])
else {
  console.log(
    `${running} decoding sequences of ${PROMPT} prompt tokens, ${waiting} requests waiting, ${steps} steps`,
  )
  console.log('policy      median      p99  p99, own  collected interrupted preemptions  queue')
  for (const name of Object.keys(policies)) {
    const args = [fileURLToPath(import.meta.url), ...process.argv.slice(2), '--policy', name]
    spawnSync(process.execPath, args, { stdio: 'inherit' })
  }
}
