// node octavo-logits.mjs MODEL TEXT.json: writes what Octavo's next-token distributions are at each position of a
// text (accuracy.mjs), as log-probabilities in float32, to file descriptor 3. BENCH_EXACT: with float32
// inputs of matrices and a float32 cache.
import { readFileSync, writeSync } from 'node:fs'
import { loadEngineParts } from '../../dist/engine/load.js'
import { LLMEngine } from '../../dist/engine/llm-engine.js'

const [model, text] = process.argv.slice(2)
const exact = { matmulPrecision: 'float32', kvCacheDtype: 'float32' }
const parts = await loadEngineParts(model, {
  ...(process.env.BENCH_EXACT && exact),
  threads: Number(process.env.BENCH_THREADS),
  isa: process.env.BENCH_ISA,
  maxModelLen: 1024,
  maxLogprobs: -1,
  enablePrefixCaching: false,
  skipTokenizerInit: true,
  log: false,
})
const engine = new LLMEngine(parts)

/** Every position's whole distribution leaves here; as maps of objects they would fill the memory. */
const { onResult } = parts.executor
parts.executor.onResult = (result) => {
  const { topStarts, topIds, topLogprobs } = result
  for (let row = 0; row + 1 < topStarts.length; row++) {
    const [start, end] = [topStarts[row], topStarts[row + 1]]
    if (start === end) continue // the token that is drawn after the text
    const logits = new Float32Array(end - start)
    for (let i = start; i < end; i++) logits[topIds[i]] = topLogprobs[i]
    writeAll(Buffer.from(logits.buffer))
  }
  onResult({ ...result, topStarts: topStarts.map(() => 0) })
}

function writeAll(bytes) {
  for (let at = 0; at < bytes.length;) at += writeSync(3, bytes, at)
}

const sampling = { maxTokens: 1, promptLogprobs: -1 }
for (const promptTokenIds of JSON.parse(readFileSync(text, 'utf8')))
  await engine.generate({ promptTokenIds }, sampling)
await engine.close()
