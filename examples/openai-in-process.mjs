// OpenAI's client on an engine in this process, without a server: npm install openai
import { LLMEngine } from 'octavo'
import { createHandler } from 'octavo/server'
import OpenAI from 'openai'

const engine = await LLMEngine.load('demo')
const handler = createHandler(engine)
const client = new OpenAI({
  baseURL: 'http://localhost/v1',
  apiKey: 'none',
  fetch: (url, init) => handler(new Request(url, init)),
})
const messages = [{ role: 'user', content: 'What is the capital of France?' }]
const stream = await client.chat.completions.create({
  model: 'demo',
  messages,
  temperature: 0,
  stream: true,
})
for await (const { choices } of stream) process.stdout.write(choices[0]?.delta.content ?? '')
console.log()
await engine.close()
