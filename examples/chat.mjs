// A chat whose turns are remembered; the cache keeps what the next turn begins with.
import { LLMEngine } from 'octavo'

const engine = await LLMEngine.load('demo')
const messages = []
for (const content of [
  'What is the capital of France?',
  'How do you say hello in Spanish?',
  'Tell me a story about a fox.',
]) {
  messages.push({ role: 'user', content })
  const reply = await engine.chat(messages, { temperature: 0 })
  const { text } = reply.outputs[0]
  messages.push({ role: 'assistant', content: text })
  console.log(`you:   ${content}\nmodel: ${text}`)
  const { cachedTokens } = reply.metrics
  console.log(`       (${cachedTokens} of ${reply.promptTokenIds.length} prompt tokens cached)\n`)
}
await engine.close()
