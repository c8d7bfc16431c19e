// node scripts/lib/check-engine.mjs PACKAGE      The engine of that package folder on the GPU, beside the references of
// test/fixtures/models: a line of JSON a model and settings, as scripts/gpu-check wants them.
import { readFileSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from './run.mjs'

const packageFolder = resolve(process.argv[2] ?? root)
const { LLMEngine } = await import(pathToFileURL(join(packageFolder, 'dist/index.js')))
const fixtures = join(root, 'test/fixtures/models')
const GREEDY = { maxTokens: 10, temperature: 0, ignoreEos: true, logprobs: 5 }

const half = (dtype) => ({ dtype, kvCacheDtype: dtype })
const settings = {
  float32: {},
  'steps ahead': { asyncScheduling: true },
  'steps ahead, swapping': { asyncScheduling: true, preemptionMode: 'swap', swapSpace: 0.01 },
  'measured cache': { numGpuBlocksOverride: undefined },
  'int8 cache': { kvCacheDtype: 'int8' },
  bfloat16: half('bfloat16'),
  float16: half('float16'),
  'batchInvariant bfloat16': { ...half('bfloat16'), batchInvariant: true },
}
// Of all others one setting.
const closely = ['llama', 'mixtral', 'deepseek-v2-lite', 'lfm2', 'gpt-oss', 'gemma3']

for (const name of readdirSync(fixtures))
  for (const [title, options] of Object.entries(settings))
    if (title === 'float32' || closely.includes(name))
      await check(`engine ${name}, ${title}`, () => compare(name, options))

async function check(name, body) {
  let failure = null
  try {
    await body()
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error)
  }
  // Shapes that the backend refuses are no failure of its.
  const refused = /the CUDA backend (supports|has no)/.test(failure ?? '')
  const [failed, skipped] = refused ? [null, failure] : [failure, null]
  const parts = [`"check": ${JSON.stringify(name)}`, `"failure": ${JSON.stringify(failed)}`]
  if (refused) parts.push(`"skipped": ${JSON.stringify(skipped)}`)
  console.log(`{${parts.join(', ')}}`)
}

async function compare(name, options) {
  const { prompts, greedy } = JSON.parse(
    readFileSync(join(fixtures, name, 'reference.json'), 'utf8'),
  )
  const requests = prompts.map((promptTokenIds) => ({ promptTokenIds }))
  const engine = await LLMEngine.load(join(fixtures, name), {
    ...{ device: 'cuda', dtype: 'float32', kvCacheDtype: 'float32', log: false },
    ...{ skipTokenizerInit: true, maxNumSeqs: 8, maxNumBatchedTokens: 48 },
    numGpuBlocksOverride: options.swapSpace ? 24 : 96,
    enablePrefixCaching: !options.batchInvariant,
    ...options,
  })
  try {
    const outputs = await engine.generate(requests, GREEDY)
    const exact = (options.kvCacheDtype ?? 'float32') === 'float32'
    outputs.forEach(({ outputs: [found] }, i) => compareTokens(found, greedy[i], exact, i))
    if (options.batchInvariant) await compareAlone(engine, requests, outputs)
    engine.checkIntegrity()
  } finally {
    await engine.close()
  }
}

/** Up to the first other token, which has to be among the likeliest unless all is exact. */
function compareTokens({ tokenIds, logprobs }, wanted, exact, i) {
  const first = tokenIds.findIndex((id, t) => id !== wanted[t])
  if (first < 0 || (!exact && logprobs[first].has(wanted[first]))) return
  throw new Error(
    `prompt ${i}: token ${first} is ${tokenIds[first]}, the reference's ${wanted[first]}`,
  )
}

async function compareAlone(engine, requests, together) {
  const bits = ({ outputs: [found] }) =>
    JSON.stringify([found.tokenIds, found.logprobs.map((of) => [...of])])
  for (const [i, request] of requests.entries()) {
    const [alone] = await engine.generate([request], GREEDY)
    if (bits(alone) !== bits(together[i])) throw new Error(`prompt ${i} alone has other bits`)
  }
}
