// What an engine step costs beside computing: node bench/boundary.mjs [MODEL [SEQUENCES,…]]
// Schedules, packs and commits 256 decoding sequences with no device behind. Then generates with MODEL
// (models/demo), so many sequences at once, and measures each step's time outside native code, the CPU time
// of Node's thread, and how long the event loop waits.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { LLMEngine } from '../dist/index.js'
import { StepPacker } from '../dist/native/step-packer.js'
import { Scheduler } from '../dist/scheduling/scheduler.js'
import { SequenceGroup } from '../dist/scheduling/sequence.js'
import { resolveSamplingParams } from '../dist/engine/check-sampling.js'
import { makePrompt } from './peers/cases.mjs'
import { percentile } from './statistics.mjs'
import { threadTime } from './thread-time.mjs'

const SEQUENCES = 256
const PROMPT = 600
const STEPS = 1000
const VOCAB = 49_152

const limits = {
  vocabSize: VOCAB,
  maxLogprobs: 20,
  maxNumSeqs: SEQUENCES,
  hasTokenizer: true,
  defaultMaxTokens: 16,
}
const params = resolveSamplingParams({ maxTokens: 4096 }, limits)
const scheduler = new Scheduler({
  blockSize: 16,
  numBlocks: 40_000,
  maxNumBatchedTokens: 2048,
  maxNumSeqs: SEQUENCES,
  maxSamples: SEQUENCES,
})
const rules = { logprobs: -1, mask: null, sharedMasks: null, biases: () => null }
const packer = new StepPacker({
  groups: 1,
  vocabSize: VOCAB,
  processedLogprobs: false,
  rulesOf: () => rules,
})
for (let i = 0; i < SEQUENCES; i++) {
  const promptTokenIds = Int32Array.from({ length: PROMPT }, (_, j) => (i * 7919 + j * 31) % VOCAB)
  scheduler.add(
    new SequenceGroup({ requestId: `r${i}`, promptTokenIds, params, seedLow: i, seedHigh: 0 }),
  )
}

const times = { schedule: [], pack: [], commit: [], all: [] }
while (times.all.length < STEPS) {
  const t0 = performance.now()
  const step = scheduler.schedule()
  const t1 = performance.now()
  packer.pack(step)
  const t2 = performance.now()
  const tokenIds = Int32Array.from({ length: step.sampleCount }, (_, r) => (r * 31) % VOCAB)
  const t3 = performance.now()
  scheduler.commit(step, { tokenIds }, () => null)
  const t4 = performance.now()
  if (step.tokenCount !== SEQUENCES) continue
  times.schedule.push(t1 - t0)
  times.pack.push(t2 - t1)
  times.commit.push(t4 - t3)
  times.all.push(t2 - t0 + t4 - t3)
}
console.log(`${SEQUENCES} decoding sequences of ${PROMPT} tokens, ${STEPS} steps`)
for (const [name, list] of Object.entries(times)) {
  const at = (share) => `${(1000 * percentile(list, share)).toFixed(0)} µs`
  console.log(`  ${name.padEnd(9)} median ${at(0.5).padStart(7)}   p99 ${at(0.99).padStart(7)}`)
}

const [model = 'demo', counts = '1,8,32,128'] = process.argv.slice(2)
const vocabulary = model === 'demo' ? 1536 : undefined
const engine = await LLMEngine.load(model, { log: false, enablePrefixCaching: false })
await engine.generate('warm up', { maxTokens: 8 })
const delay = monitorEventLoopDelay({ resolution: 1 })
console.log(`${engine.model}, ${engine.device}; 64 tokens in, 128 out; microseconds a step`)
for (const count of counts.split(',').map(Number)) await measure(count)
await engine.close()

/** Generates from so many prompts at once. */
async function measure(count) {
  const prompts = Array.from({ length: count }, (_, i) => ({
    promptTokenIds: makePrompt(64, i + 1, vocabulary),
  }))
  const before = { ...engine.stats(), thread: threadTime(), now: performance.now() }
  delay.reset()
  delay.enable()
  await engine.generate(prompts, { maxTokens: 128, temperature: 0, ignoreEos: true })
  delay.disable()
  const after = { ...engine.stats(), thread: threadTime(), now: performance.now() }
  const since = (key) => after[key] - before[key]
  const perStep = (milliseconds) => `${((1000 * milliseconds) / since('steps')).toFixed(0)}`
  const native = 1000 * since('computeSeconds')
  console.log(
    `  ${String(count).padStart(3)} sequences: native ${perStep(native)}, outside it ${perStep(since('now') - native)}, ` +
      `CPU of Node's thread ${perStep(since('thread'))}; ` +
      `event loop's delay p99 ${(delay.percentile(99) / 1e6).toFixed(1)} ms; ` +
      `${((1000 * since('generatedTokens')) / since('now')).toFixed(0)} tokens/s`,
  )
}
