// node bench/accuracy.mjs [REFERENCE] [MODEL…] [--text FILE] [--tokens 20000]
// What a form of the weights costs in accuracy: perplexity of a text (text.mjs) under each model, how far it is from
// the reference's with the standard error of that, and how often the most likely token is the reference's. A
// model is a folder, a GGUF file or a name; MODEL@int8 and MODEL@int4 are quantised at load, and
// MODEL@float32, MODEL@bfloat16 and MODEL@int16 have that matmulPrecision.
import { parseArgs } from 'node:util'
import { LLMEngine } from '../dist/index.js'
import { chunksOf, TEXT } from './text.mjs'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: 'string', default: TEXT },
    tokens: { type: 'string', default: '20000' },
  },
})
const folder = 'models/smollm2'
const models = positionals.length > 0 ? positionals : [folder, `${folder}@int8`, `${folder}@int4`]

/** The log-probability of each token of the text, and the token that is most likely in its place. */
async function score(name) {
  const [model, form = 'none'] = name.split('@')
  const precision = ['float32', 'bfloat16', 'int16'].includes(form)
  const given = precision ? { matmulPrecision: form } : { quantization: form }
  const engine = await LLMEngine.load(model, { ...given, maxModelLen: 2048, log: false })
  const [logprobs, best] = [[], []]
  for (const promptTokenIds of await chunksOf(engine, Number(options.tokens), options.text)) {
    const [output] = await engine.generate([{ promptTokenIds }], {
      maxTokens: 1,
      promptLogprobs: 1,
    })
    output.promptLogprobs.slice(1).forEach((choices, i) => {
      logprobs.push(choices.get(promptTokenIds[i + 1]).logprob)
      best.push([...choices].find(([, { rank }]) => rank === 1)[0])
    })
  }
  await engine.close()
  return { logprobs, best }
}

const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length
/** Of the mean: tokens that a form makes likelier by chance and those that it does not cancel out only so far. */
function standardError(numbers) {
  const centre = mean(numbers)
  return Math.sqrt(mean(numbers.map((x) => (x - centre) ** 2)) / numbers.length)
}
const perplexityOf = ({ logprobs }) => Math.exp(-mean(logprobs))

let reference
console.log('model\ttokens\tperplexity\tagainst the first\tsame best token')
for (const model of models) {
  const found = await score(model)
  reference ??= found
  const change = perplexityOf(found) / perplexityOf(reference) - 1
  const error = standardError(found.logprobs.map((x, i) => x - reference.logprobs[i]))
  const same = mean(found.best.map((token, i) => Number(token === reference.best[i])))
  const cells = [
    model,
    found.logprobs.length,
    perplexityOf(found).toFixed(4),
    `${(change * 100).toFixed(3)} ± ${(error * 100).toFixed(3)} %`,
    `${(same * 100).toFixed(1)} %`,
  ]
  console.log(cells.join('\t'))
}
