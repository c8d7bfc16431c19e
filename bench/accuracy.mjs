// node bench/accuracy.mjs [REFERENCE] [MODEL…] [--text docs] [--tokens 20000]
// What a form of the weights costs in accuracy: perplexity of a text under each model, how far it is from
// the reference's, and how often the most likely token is the reference's. A model is a folder, a GGUF
// file or a name; MODEL@int8 and MODEL@int4 are quantised at load, and MODEL@float32 and MODEL@bfloat16 have
// that matmulPrecision. The text is a file, or the Markdown
// pages of a folder, cut into chunks of at most 1,500 characters that are scored apart.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { LLMEngine } from '../dist/index.js'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: 'string', default: 'docs' },
    tokens: { type: 'string', default: '20000' },
  },
})
const folder = 'models/smollm2'
const models = positionals.length > 0 ? positionals : [folder, `${folder}@int8`, `${folder}@int4`]

function readText(path) {
  if (!statSync(path).isDirectory()) return readFileSync(path, 'utf8')
  const pages = readdirSync(path).filter((name) => name.endsWith('.md'))
  return pages.map((name) => readFileSync(join(path, name), 'utf8')).join('\n')
}

const pieces = readText(options.text).match(/[\s\S]{1,1500}/g) ?? []

/** The log-probability of each token of the text, and the token that is most likely in its place. */
async function score(name) {
  const [model, form = 'none'] = name.split('@')
  const precision = form === 'float32' || form === 'bfloat16'
  const given = precision ? { matmulPrecision: form } : { quantization: form }
  const engine = await LLMEngine.load(model, { ...given, maxModelLen: 2048, log: false })
  const [logprobs, best] = [[], []]
  for (const piece of pieces) {
    if (logprobs.length >= Number(options.tokens)) break
    const [output] = await engine.generate([piece], { maxTokens: 1, promptLogprobs: 1 })
    output.promptLogprobs.slice(1).forEach((choices, i) => {
      logprobs.push(choices.get(output.promptTokenIds[i + 1]).logprob)
      best.push([...choices].find(([, { rank }]) => rank === 1)[0])
    })
  }
  await engine.close()
  return { logprobs, best }
}

const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length
const perplexityOf = ({ logprobs }) => Math.exp(-mean(logprobs))

let reference
console.log('model\ttokens\tperplexity\tagainst the first\tsame best token')
for (const model of models) {
  const found = await score(model)
  reference ??= found
  const change = perplexityOf(found) / perplexityOf(reference) - 1
  const same = mean(found.best.map((token, i) => Number(token === reference.best[i])))
  const cells = [
    model,
    found.logprobs.length,
    perplexityOf(found).toFixed(4),
    `${(change * 100).toFixed(3)} %`,
    `${(same * 100).toFixed(1)} %`,
  ]
  console.log(cells.join('\t'))
}
