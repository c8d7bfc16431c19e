// Embeds texts, and compares them by the cosine of their angles.
import { LLMEngine } from 'octavo'

const engine = await LLMEngine.load('demo')
const texts = ['The cat is hungry.', 'The dog is hungry.', 'What is the capital of France?']
const [first, ...others] = await engine.embed(texts, { pooling: 'mean' })
for (const { prompt, embedding } of others)
  console.log(prompt, embedding.reduce((sum, x, i) => sum + x * first.embedding[i], 0).toFixed(2))
await engine.close()
