// node bench/accuracy.mjs [MODEL] [--text FILE] [--tokens 2000] [--forms none,int8,int4]
// Perplexity of a text under each form of the weights, against the weights as they are stored, and how
// often the most likely token is the same. Texts are cut into chunks of 500 tokens.
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { LLMEngine } from '../dist/index.js'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: 'string', default: 'docs/decisions.md' },
    tokens: { type: 'string', default: '2000' },
    forms: { type: 'string', default: 'none,int8,int4' },
  },
})
const [model = 'models/smollm2'] = positionals
const CHUNK = 500

/** The text's tokens in chunks, each scored by the model. */
async function score(quantization) {
  const engine = await LLMEngine.load(model, { quantization, maxModelLen: 1024, log: false })
  const text = readFileSync(options.text, 'utf8').slice(0, Number(options.tokens) * 6)
  const logprobs = []
  const best = []
  const pieces = text.match(new RegExp(`[\\s\\S]{1,${CHUNK * 3}}`, 'g')) ?? []
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
let plain
for (const form of options.forms.split(',')) {
  const found = await score(form)
  plain ??= found
  const perplexity = Math.exp(-mean(found.logprobs))
  const change = perplexity / Math.exp(-mean(plain.logprobs)) - 1
  const same = mean(found.best.map((token, i) => Number(token === plain.best[i])))
  console.log(
    `${form.padEnd(6)} ${found.logprobs.length} tokens, perplexity ${perplexity.toFixed(4)} ` +
      `(${(change * 100).toFixed(2)} %), same best token ${(same * 100).toFixed(1)} %`,
  )
}
