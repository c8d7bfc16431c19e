// node bench/cache-accuracy.mjs [MODEL] [--text FILE] [--tokens 1500] [--outputs 20]
//                               [--caches float32,float16,bfloat16,int8,fp8]
// What a type of the key/value cache costs in accuracy: how far log-probabilities of a text's tokens are off
// from those with the first type, and how many greedy outputs of 64 tokens change.
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { LLMEngine } from '../dist/index.js'
import { percentile } from './statistics.mjs'
import { TEXT } from './text.mjs'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: 'string', default: TEXT },
    tokens: { type: 'string', default: '1500' },
    outputs: { type: 'string', default: '20' },
    caches: { type: 'string', default: 'float32,float16,bfloat16,int8,fp8' },
  },
})
const [model = 'models/smollm2'] = positionals
const text = readFileSync(options.text, 'utf8')
const pieces = text.match(/[\s\S]{1,1500}/g) ?? []
const prompts = Array.from({ length: Number(options.outputs) }, (_, i) =>
  text.slice(i * 700, i * 740 + 200),
)

async function run(kvCacheDtype) {
  const engine = await LLMEngine.load(model, { kvCacheDtype, maxModelLen: 1024, log: false })
  const logprobs = []
  for (const piece of pieces) {
    if (logprobs.length >= Number(options.tokens)) break
    const [output] = await engine.generate([piece], { maxTokens: 1, promptLogprobs: 0 })
    output.promptLogprobs.slice(1).forEach((choices, i) => {
      logprobs.push(choices.get(output.promptTokenIds[i + 1]).logprob)
    })
  }
  const greedy = await engine.generate(prompts, { maxTokens: 64, temperature: 0, ignoreEos: true })
  await engine.close()
  return { logprobs, outputs: greedy.map(({ outputs: [{ tokenIds }] }) => tokenIds.join()) }
}

let first
console.log('cache\ttokens\tmean error\t99th percentile\tlargest\toutputs that change')
for (const cache of options.caches.split(',')) {
  const found = await run(cache)
  first ??= found
  const errors = found.logprobs.map((x, i) => Math.abs(x - first.logprobs[i]))
  const mean = errors.reduce((sum, x) => sum + x, 0) / errors.length
  const [most, nearly] = [Math.max(...errors), percentile(errors, 0.99)]
  const changed = found.outputs.filter((ids, i) => ids !== first.outputs[i]).length
  const figures = [mean.toFixed(4), nearly.toFixed(3), most.toFixed(3)]
  console.log([cache, errors.length, ...figures, `${changed} of ${prompts.length}`].join('\t'))
}
