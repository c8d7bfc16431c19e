// node octavo.mjs MODEL CASE_AS_JSON: a case of cases.mjs on Octavo, of this checkout or of the one that
// BENCH_CHECKOUT names. One JSON line. BENCH_PACKED_WEIGHTS_CACHE names a folder for packed weights.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { makePrompt, valueOf } from './cases.mjs'

const checkout = process.env.BENCH_CHECKOUT ?? fileURLToPath(new URL('../..', import.meta.url))
const { exports } = JSON.parse(readFileSync(resolve(checkout, 'package.json'), 'utf8'))
const entry = resolve(checkout, exports['.'].import.default)
const { LLMEngine } = await import(pathToFileURL(entry).href)

const [model, text] = process.argv.slice(2)
const wanted = JSON.parse(text)
const vocabulary = model === 'demo' ? 1536 : undefined
const loading = wanted.kind === 'load'
const engine = await LLMEngine.load(model, {
  threads: Number(process.env.BENCH_THREADS),
  isa: process.env.BENCH_ISA,
  quantization: process.env.BENCH_QUANTIZATION ?? 'none',
  maxModelLen: Math.max(2048, (wanted.inputLength ?? 0) + wanted.outputLength + 16),
  enablePrefixCaching: false,
  skipTokenizerInit: !loading,
  packedWeightsCache: process.env.BENCH_PACKED_WEIGHTS_CACHE,
  log: false,
})
if (!loading)
  await engine.generate({ promptTokenIds: makePrompt(8, 0, vocabulary) }, { maxTokens: 4 })

const prompts = Array.from({ length: wanted.sequences }, (_, i) =>
  loading ? wanted.text : { promptTokenIds: makePrompt(wanted.inputLength, i + 1, vocabulary) },
)
const began = performance.now()
const outputs = await engine.generate(prompts, {
  maxTokens: wanted.outputLength,
  temperature: 0,
  ignoreEos: true,
})
const end = performance.now() - began
const made = outputs.reduce((sum, output) => sum + output.outputs[0].tokenIds.length, 0)
const { firstTokenTime, arrivalTime } = outputs[0].metrics
const value = loading
  ? Date.now() - Number(process.env.BENCH_STARTED)
  : valueOf(wanted, { made, first: firstTokenTime - arrivalTime, end })
console.log(JSON.stringify({ case: wanted.name, value, device: engine.device }))
await engine.close()
