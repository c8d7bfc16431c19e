// node examples/lora.mjs MODEL ADAPTER…      One prompt, continued by a model alone and with each of its adapters
// (LoRA: folders in PEFT's format, or Hugging Face ids), all in one batch.
import { LLMEngine } from 'octavo'

const [model = 'demo', ...adapters] = process.argv.slice(2)
const engine = await LLMEngine.load(model, { enableLora: true, maxLoraRank: 256 })
const prompt = 'Once upon a time'
const adapted = adapters.map((path) => ({
  prompt,
  loraRequest: { loraName: path, loraPath: path },
}))
const outputs = await engine.generate([prompt, ...adapted], { maxTokens: 24, temperature: 0 })
for (const [
  i,
  {
    outputs: [{ text }],
  },
] of outputs.entries())
  console.log(`${i === 0 ? 'without' : adapters[i - 1]}: ${prompt}${text}`)
await engine.close()
