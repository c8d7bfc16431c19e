// What an engine step costs beside computing: node bench/boundary.mjs
// Schedules, packs and commits 256 decoding sequences with no device behind, then generates with
// models/demo and measures how long the event loop waits.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { LLMEngine } from '../dist/index.js'
import { StepPacker } from '../dist/native/step-packer.js'
import { Scheduler } from '../dist/scheduling/scheduler.js'
import { SequenceGroup } from '../dist/scheduling/sequence.js'
import { resolveSamplingParams } from '../dist/engine/check-sampling.js'

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
const rules = { logprobs: -1, mask: null, biases: () => null }
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
  list.sort((a, b) => a - b)
  const at = (share) => `${(1000 * list[Math.floor(share * (STEPS - 1))]).toFixed(0)} µs`
  console.log(`  ${name.padEnd(9)} median ${at(0.5).padStart(7)}   p99 ${at(0.99).padStart(7)}`)
}

const engine = await LLMEngine.load(process.argv[2] ?? 'demo', { log: false })
const delay = monitorEventLoopDelay({ resolution: 1 })
await engine.generate('warm up', { maxTokens: 8 })
delay.enable()
const began = performance.now()
const prompts = Array.from({ length: 32 }, (_, i) => `Once upon a time number ${i}`)
const outputs = await engine.generate(prompts, { maxTokens: 200, ignoreEos: true })
delay.disable()
const seconds = (performance.now() - began) / 1000
const tokens = outputs.reduce((sum, { outputs: [output] }) => sum + output.tokenIds.length, 0)
console.log(
  `event loop while 32 sequences generate (${engine.model}, ${engine.device}): ` +
    `delay p50 ${(delay.percentile(50) / 1e6).toFixed(1)} ms, p99 ${(delay.percentile(99) / 1e6).toFixed(1)} ms; ` +
    `${(tokens / seconds).toFixed(0)} tokens/s, ${engine.stats().steps} steps`,
)
await engine.close()
