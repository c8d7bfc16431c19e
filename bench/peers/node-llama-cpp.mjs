// node node-llama-cpp.mjs MODEL.gguf CASE_AS_JSON, in a folder where node-llama-cpp is installed: a case
// of cases.mjs on node-llama-cpp, flash attention on. One JSON line.
import { makePrompt, valueOf } from './cases.mjs'
import { loadLlama } from './node-llama-cpp-load.mjs'

const [modelPath, text] = process.argv.slice(2)
const wanted = JSON.parse(text)
const { sequences, inputLength = 64, outputLength } = wanted
const { model, threads } = await loadLlama(modelPath)
const context = await model.createContext({
  sequences,
  contextSize: inputLength + outputLength + 16,
  batchSize: Math.max(512, sequences),
  threads,
  flashAttention: true,
})

/** Greedy tokens of a sequence, as many as are wanted; when the first came. */
async function generate(sequence, input) {
  let made = 0
  let first
  for await (const _ of sequence.evaluate(input, { temperature: 0, yieldEogToken: true })) {
    first ??= performance.now() - began
    if (++made === outputLength) break
  }
  return { made, first }
}

const prompts = Array.from({ length: sequences }, (_, i) =>
  wanted.kind === 'load' ? model.tokenize(wanted.text) : makePrompt(inputLength, i + 1),
)
const all = prompts.map(() => context.getSequence())
const began = performance.now()
const done = await Promise.all(all.map((sequence, i) => generate(sequence, prompts[i])))
const end = performance.now() - began
const made = done.reduce((sum, each) => sum + each.made, 0)
const value =
  wanted.kind === 'load'
    ? Date.now() - Number(process.env.BENCH_STARTED)
    : valueOf(wanted, { made, first: done[0].first, end })
console.log(JSON.stringify({ case: wanted.name, value }))
process.exit(0) // its threads would keep the process
