// Tools that the model may call, until it answers: `node examples/tools.mjs Qwen/Qwen3-0.6B`.
import { LLMEngine } from 'octavo'

const functions = { add: ({ a, b }) => a + b }
const number = { type: 'number' }
const parameters = { type: 'object', properties: { a: number, b: number }, required: ['a', 'b'] }
const tools = [{ type: 'function', function: { name: 'add', parameters } }]

const engine = await LLMEngine.load(process.argv[2] ?? 'demo')
const messages = [{ role: 'user', content: process.argv[3] ?? 'What is the capital of France?' }]
for (let asked = 0; asked < 5; asked++) {
  const { outputs } = await engine.chat(messages, { temperature: 0 }, { tools })
  const { text, reasoning, toolCalls } = outputs[0]
  if (reasoning) console.log(`(${reasoning})`)
  if (text) console.log(text)
  if (toolCalls.length === 0) break
  messages.push({ role: 'assistant', content: text, tool_calls: toolCalls })
  for (const { id, function: called } of toolCalls) {
    const result = functions[called.name]?.(JSON.parse(called.arguments)) ?? 'no such function'
    console.log(`${called.name} ${called.arguments} = ${result}`)
    messages.push({ role: 'tool', tool_call_id: id, content: String(result) })
  }
}
await engine.close()
