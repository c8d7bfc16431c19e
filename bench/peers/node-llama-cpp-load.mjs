// Loads a model with the node-llama-cpp of the working folder.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

export async function loadLlama(modelPath) {
  const require = createRequire(join(process.cwd(), 'package.json'))
  const path = require.resolve('node-llama-cpp')
  const { getLlama, LlamaLogLevel } = await import(pathToFileURL(path).href)
  const threads = Number(process.env.BENCH_THREADS)
  const logLevel = LlamaLogLevel.error
  const llama = await getLlama({ gpu: false, build: 'never', logLevel, maxThreads: threads })
  return { model: await llama.loadModel({ modelPath }), threads }
}
