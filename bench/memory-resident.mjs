// npm run bench:memory-resident -- MODEL …     how much memory a loaded model takes beside its tokenizer
// Each model, a folder or a GGUF file, is loaded twice, in new processes: only its tokenizer, and whole, with a
// cache of 1,024 tokens that one prompt and its output fill. What the second holds beyond the first is compared with packed weights and cache;
// so is the most that it ever held. Linux only: read from /proc/self/status. BENCH_PACKED_WEIGHTS_CACHE names a folder for packed
// weights: load each model once before.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { resolveEngineOptions } from '../dist/engine/config.js'
import { planModel } from '../dist/engine/load.js'
import { LLMEngine } from '../dist/index.js'
import { loadAddon } from '../dist/native/addon.js'
import { cacheBlockBytes, weightBytes } from '../dist/plan/size.js'
import { loadText } from '../dist/text/load-text.js'
import { locateModel } from '../dist/weights/model-folder.js'

const TEXT = 'The capital of France is'
const BLOCKS = 65 // one is the null block
const OPTIONS = {
  numGpuBlocksOverride: BLOCKS,
  maxNumSeqs: 1,
  packedWeightsCache: process.env.BENCH_PACKED_WEIGHTS_CACHE,
  log: false,
}
const OUTPUT = 32
const PROMPT = {
  promptTokenIds: Array.from({ length: (BLOCKS - 1) * 16 - OUTPUT }, (_, i) => 1 + (i % 999)),
}

const RUNS = {
  async tokenizer(model) {
    const { tokenizer } = await loadText(await locateModel(model))
    tokenizer.encode(TEXT)
    const found = resident()
    await tokenizer.close() // it was in memory until here
    return found
  },
  async engine(model) {
    const engine = await LLMEngine.load(model, OPTIONS)
    await engine.generate([TEXT, PROMPT], { maxTokens: OUTPUT, temperature: 0, ignoreEos: true })
    const found = resident()
    await engine.close()
    const config = resolveEngineOptions(OPTIONS)
    const { plan } = await planModel(model, config, loadAddon())
    const cache = BLOCKS * cacheBlockBytes(plan, config.blockSize)
    return { ...found, weights: weightBytes(plan), cache }
  },
}

/** Bytes in memory now, after garbage collection, and the most that there ever were. */
function resident() {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const status = readFileSync('/proc/self/status', 'utf8')
  const kilobytes = (name) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)[1]) * 1024
  return { now: kilobytes('VmRSS'), most: kilobytes('VmHWM') }
}

const MB = (value) => (value / 1e6).toFixed(0)

const [first, ...rest] = process.argv.slice(2)
if (first === '--run') {
  const [kind, model] = rest
  console.log(JSON.stringify(await RUNS[kind](model)))
} else {
  const run = (kind, model) => {
    const program = fileURLToPath(import.meta.url)
    const output = execFileSync(process.execPath, [program, '--run', kind, model], {
      encoding: 'utf8',
    })
    return JSON.parse(output)
  }
  console.log(
    '| model | tokenizer only (MB) | weights | cache | whole engine | beyond / weights and cache | at most |',
  )
  console.log(
    '| ----- | ------------------- | ------- | ----- | ------------ | -------------------------- | ------- |',
  )
  for (const model of first === undefined ? ['demo'] : [first, ...rest]) {
    const [text, engine] = [run('tokenizer', model), run('engine', model)]
    const share = (value) => ((value - text.now) / (engine.weights + engine.cache)).toFixed(2)
    const sizes = [text.now, engine.weights, engine.cache, engine.now].map(MB)
    console.log(
      `| ${[basename(model), ...sizes, share(engine.now), share(engine.most)].join(' | ')} |`,
    )
  }
}
