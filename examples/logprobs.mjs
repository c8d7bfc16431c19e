// What the model thought of: the most likely tokens at each position.
import { LLMEngine } from 'octavo'

const engine = await LLMEngine.load('demo')
const [request] = await engine.generate('The sky', { maxTokens: 6, temperature: 0, logprobs: 3 })
const [output] = request.outputs
for (const [i, position] of output.logprobs.entries()) {
  const chosen = position.get(output.tokenIds[i])
  const others = [...position.values()]
    .filter((other) => other !== chosen)
    .map(({ decodedToken, logprob }) => `${JSON.stringify(decodedToken)} ${percent(logprob)}`)
  console.log(
    `${JSON.stringify(chosen.decodedToken).padEnd(12)} ${percent(chosen.logprob)}   not ${others.join(', ')}`,
  )
}
console.log(`log-probability of the whole: ${output.cumulativeLogprob.toFixed(3)}`)
await engine.close()

function percent(logprob) {
  return `${(100 * Math.exp(logprob)).toFixed(1)} %`.padStart(7)
}
