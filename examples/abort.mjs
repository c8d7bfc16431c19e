// Three ways to end a request early; each frees its cache blocks at once.
import { LLMEngine } from 'octavo'

const engine = await LLMEngine.load('demo')
const params = { maxTokens: 1000, ignoreEos: true }

// An AbortSignal rejects the call with the signal's reason.
try {
  await engine.generate('Once upon a time', params, { signal: AbortSignal.timeout(50) })
} catch (error) {
  console.log(`generate: ${error.name}`)
}

// Leaving the loop of a stream ends its request.
const pieces = []
for await (const { text } of engine.stream('Once upon a time', params)) {
  if (pieces.push(text) === 5) break
}
console.log(`stream: left after "${pieces.join('')}"`)

// A request that you step yourself ends by its id, with what it has.
engine.addRequest('mine', 'Once upon a time', params)
for (let i = 0; i < 5; i++) await engine.step()
engine.abort('mine')
const [output] = await engine.step()
console.log(
  `step: ${output.outputs[0].finishReason} after ${output.outputs[0].tokenIds.length} tokens`,
)

console.log(`blocks in use: ${engine.stats().usedBlocks}`)
await engine.close()
