// node octavo.mjs MODEL CASE_AS_JSON: a case of cases.mjs on Octavo. One JSON line.
import { LLMEngine } from '../../dist/index.js'
import { makePrompt, valueOf } from './cases.mjs'

const [model, text] = process.argv.slice(2)
const wanted = JSON.parse(text)
const loading = wanted.kind === 'load'
const engine = await LLMEngine.load(model, {
  threads: Number(process.env.BENCH_THREADS),
  isa: process.env.BENCH_ISA,
  maxModelLen: Math.max(2048, (wanted.inputLength ?? 0) + wanted.outputLength + 16),
  enablePrefixCaching: false,
  skipTokenizerInit: !loading,
  log: false,
})
if (!loading) await engine.generate({ promptTokenIds: makePrompt(8, 0) }, { maxTokens: 4 })

const prompts = Array.from({ length: wanted.sequences }, (_, i) =>
  loading ? wanted.text : { promptTokenIds: makePrompt(wanted.inputLength, i + 1) },
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
