// Six prompts in one batch, on the tiny model that comes with the package. `npm start` runs this.
import { styleText } from 'node:util'
import { LLMEngine } from 'octavo'

const prompts = [
  'Once upon a time',
  'Long ago, in the forest,',
  'One sunny day, a little',
  'Lily was a',
  'The capital of France',
  'The sky',
]

const colours = process.stdout.isTTY && !process.env.NO_COLOR
const paint = (format, text) => (colours ? styleText(format, text) : text)

const engine = await LLMEngine.load('demo')
console.log(paint('dim', `model ${engine.model} · ${engine.device}\n`))

const start = performance.now()
const outputs = await engine.generate(prompts, { maxTokens: 128, temperature: 0.7, seed: 7 })
const seconds = (performance.now() - start) / 1000

for (const {
  prompt,
  outputs: [output],
  metrics,
} of outputs) {
  const rate = output.tokenIds.length / ((metrics.finishedTime - metrics.arrivalTime) / 1000)
  console.log(`${paint('bold', prompt)}${output.text}`)
  console.log(paint('dim', `${output.tokenIds.length} tokens · ${Math.round(rate)} tokens/s\n`))
}

const { generatedTokens, totalBlocks, peakCacheUsage, steps } = engine.stats()
const { blockSize } = engine.config
const blocks = Math.round(peakCacheUsage * totalBlocks)
console.log(
  `Together ${generatedTokens} tokens in ${seconds.toFixed(2)} s and ${steps} steps: ` +
    paint(['bold', 'green'], `${Math.round(generatedTokens / seconds)} tokens/s`),
)
console.log(
  `Cache use: at most ${blocks} blocks of ${blockSize} tokens, ` +
    `${(100 * peakCacheUsage).toFixed(2)} % of ${totalBlocks}`,
)
await engine.close()
