// Several outputs of one prompt: its keys and values are computed once and shared.
import { LLMEngine } from 'octavo'

const engine = await LLMEngine.load('demo')
const prompt = 'One sunny day, a little'
const [request] = await engine.generate(prompt, { n: 3, temperature: 0.9, seed: 1, maxTokens: 32 })
for (const { index, text } of request.outputs) console.log(`${index + 1}. ${prompt}${text}…\n`)

const { promptTokens } = engine.stats()
console.log(`prompt tokens computed: ${promptTokens}, for ${request.outputs.length} outputs`)
await engine.close()
