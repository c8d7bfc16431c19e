// node node-llama-cpp.mjs MODEL.gguf CASE, in a folder where node-llama-cpp is installed: the cases of
// bench/engine.mjs on node-llama-cpp, flash attention on. One JSON line.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const require = createRequire(join(process.cwd(), 'package.json'))
const { getLlama, LlamaLogLevel } = await import(
  pathToFileURL(require.resolve('node-llama-cpp')).href
)
const [modelPath, name] = process.argv.slice(2)
const [kind, count = '1'] = name.split(':')
const sequences = Number(count)
const threads = Number(process.env.BENCH_THREADS)
const [inputLength, outputLength] = { single: [64, 192], prefill: [1024, 1], batch: [64, 128] }[
  kind
]

const prompt = (seed) =>
  Array.from({ length: inputLength }, (_, i) => 1000 + ((i * 7919 + seed * 104_729) % 40_000))

async function generate(sequence, input) {
  let made = 0
  const options = { temperature: 0, yieldEogToken: true }
  const tokens = sequence.evaluate(input, options)
  while (made < outputLength && !(await tokens.next()).done) made++
  await tokens.return()
  return made
}

const llama = await getLlama({
  gpu: false,
  build: 'never',
  logLevel: LlamaLogLevel.error,
  maxThreads: threads,
})
const model = await llama.loadModel({ modelPath })
const context = await model.createContext({
  sequences,
  contextSize: inputLength + outputLength + 16,
  batchSize: Math.max(512, sequences),
  threads,
  flashAttention: true,
})
const all = Array.from({ length: sequences }, () => context.getSequence())
const began = performance.now()
const made = await Promise.all(all.map((sequence, i) => generate(sequence, prompt(i + 1))))
const seconds = (performance.now() - began) / 1000
const total = made.reduce((sum, tokens) => sum + tokens, 0)
console.log(
  JSON.stringify({
    case: name,
    seconds,
    tokensPerSecond: total / seconds,
    ...(kind === 'prefill' && { promptTokensPerSecond: inputLength / seconds }),
  }),
)
process.exit(0) // its threads would keep the process
