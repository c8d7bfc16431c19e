// Vercel's AI SDK on an engine in this process: npm install ai
import { generateText } from 'ai'
import { LLMEngine } from 'octavo'
import { createOctavo } from 'octavo/ai'

const engine = await LLMEngine.load('demo')
const model = createOctavo(engine)()
const { text } = await generateText({ model, prompt: 'What does a cat say?' })
console.log(text)
await engine.close()
