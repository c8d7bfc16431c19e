// Text as it is made, a delta a step.
import { LLMEngine } from 'octavo'

const engine = await LLMEngine.load('demo')
const prompt = 'Once upon a time'
process.stdout.write(prompt)
for await (const { text, finishReason } of engine.stream(prompt, {
  maxTokens: 128,
  temperature: 0,
})) {
  process.stdout.write(text)
  if (finishReason !== null) console.log(`\n(finished: ${finishReason})`)
}
await engine.close()
