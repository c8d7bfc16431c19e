// The engine's own interface: you queue requests and say when a step is computed.
import { LLMEngine } from 'octavo'

const engine = await LLMEngine.load('demo')
engine.addRequest('story', 'Once upon a time', { maxTokens: 12, temperature: 0 })
engine.addRequest('fact', 'The', { maxTokens: 12, temperature: 0 })

let step = 0
let moved = await engine.step()
while (moved.length > 0) {
  const state = moved.map(({ requestId, outputs: [{ tokenIds, finishReason }] }) =>
    finishReason ? `${requestId} ${finishReason}` : `${requestId} ${tokenIds.length} tokens`,
  )
  console.log(`step ${++step}: ${state.join(', ')}`)
  for (const { finished, prompt, outputs } of moved) {
    if (finished) console.log(`  ${prompt}${outputs[0].text}`)
  }
  moved = await engine.step()
}
await engine.close()
