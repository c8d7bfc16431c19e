// node scripts/lib/record-model.mjs FOLDER DTYPE      Generates from a fixture's prompts, to be recorded (docs/replay.md).
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { LLMEngine } from '../../dist/index.js'

const [folder, dtype] = process.argv.slice(2)
const { prompts } = JSON.parse(readFileSync(join(folder, 'reference.json'), 'utf8'))
const engine = await LLMEngine.load(folder, {
  device: 'cuda',
  dtype,
  kvCacheDtype: dtype,
  skipTokenizerInit: true,
  maxNumSeqs: 8,
  maxNumBatchedTokens: 64,
  numGpuBlocksOverride: 64,
  log: false,
})
const requests = prompts.map((promptTokenIds) => ({ promptTokenIds }))
await engine.generate(requests, { maxTokens: 12, temperature: 0, logprobs: 5, ignoreEos: true })
await engine.close()
