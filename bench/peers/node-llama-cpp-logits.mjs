// node node-llama-cpp-logits.mjs MODEL.gguf TEXT.json, in a folder where node-llama-cpp is installed: writes the logits
// of each position of a text (accuracy.mjs) in float32 to file descriptor 3.
import { readFileSync, writeSync } from 'node:fs'
import { loadLlama } from './node-llama-cpp-load.mjs'

const [modelPath, text] = process.argv.slice(2)
const chunks = JSON.parse(readFileSync(text, 'utf8'))
const { model, threads } = await loadLlama(modelPath)
const contextSize = Math.max(...chunks.map((chunk) => chunk.length)) + 16
const context = await model.createContext({ contextSize, threads, flashAttention: true })
const sequence = context.getSequence()

function write(logits) {
  const row = new Float32Array(logits.size)
  for (const [token, logit] of logits) row[token] = logit
  const bytes = Buffer.from(row.buffer)
  for (let at = 0; at < bytes.length;) at += writeSync(3, bytes, at)
}

for (const chunk of chunks) {
  await sequence.clearHistory()
  // Few at a time: a position's logits come as a map of the whole vocabulary.
  for (let start = 0; start < chunk.length - 1; start += 32) {
    const part = chunk.slice(start, Math.min(start + 32, chunk.length - 1))
    const wanted = part.map((token) => [token, { generateNext: { logits: true } }])
    for (const { next } of await sequence.controlledEvaluate(wanted)) write(next.logits)
  }
}
process.exit(0) // its threads would keep the process
