// npm run bench:peers -- --model MODEL-Q4_1.gguf [--bits 4,8,16] [--cases single,prefill,…] [--rounds 5]
//   [--engines octavo,node-llama-cpp,openvino-genai] [--threads N] [--isa avx2] [--deadline 60]
//   [--budget SECONDS] [--fresh] [--write docs/benchmarks.md]
// Runs every case (peers/cases.mjs) on Octavo and its peers in turn, each in a new process with as many
// threads, from files of the same width. Results are kept in build-peers/, so that what was cut short
// goes on where it stopped: by --budget, or by hand. Those of another build of Octavo are measured again;
// --fresh begins anew. Prints medians of the rounds so far and ratios; --write makes a page of them and
// pictures beside it. A case that is late by --deadline seconds, or fails, is not tried again.
import { appendFileSync, mkdirSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { measureAccuracy } from './peers/accuracy.mjs'
import { parseCase } from './peers/cases.mjs'
import { buildOfOctavo, ENGINES, folder, measure, modelFor } from './peers/engines.mjs'
import { writePage } from './peers/page.mjs'
import { printTable, readResults } from './peers/results.mjs'

const CONTEXTS = [128, 512, 1024, 2048, 4096, 8000].map((length) => `context:${length}`)
const CASES = ['single,prefill,batch:8,batch:32,batch:128', ...CONTEXTS, 'load,accuracy:20000']
const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    bits: { type: 'string', default: '4,8,16' },
    cases: { type: 'string', default: CASES.join(',') },
    rounds: { type: 'string', default: '5' },
    engines: { type: 'string', default: Object.keys(ENGINES).join(',') },
    threads: { type: 'string', default: String(availableParallelism()) },
    isa: { type: 'string', default: 'auto' },
    deadline: { type: 'string', default: '60' },
    budget: { type: 'string', default: 'Infinity' },
    fresh: { type: 'boolean', default: false },
    write: { type: 'string' },
  },
})
if (!options.model) throw new TypeError('--model: expected the path of a GGUF file')
const [model, began] = [resolve(options.model), Date.now()]
const engines = options.engines.split(',')
const cases = options.cases.split(',').map(parseCase)
const widths = options.bits.split(',').map(Number)
for (const engine of engines)
  if (!(engine in ENGINES)) throw new TypeError(`--engines: there is no ${engine}`)
for (const bits of widths)
  if (![4, 8, 16].includes(bits)) throw new TypeError(`--bits: expected 4, 8 or 16, found ${bits}`)

const file = join(
  folder,
  `results-${basename(model, '.gguf')}-${options.isa}-${options.threads}.jsonl`,
)
if (options.fresh) rmSync(file, { force: true })
const build = buildOfOctavo()
const results = readResults(file, build)

/** What the engine gives for a case. Distributions are always the same: they are computed once. */
async function resultOf(engine, bits, wanted) {
  const { threads, isa } = options
  const setting = { threads, isa, deadline: Number(options.deadline) }
  if (wanted.kind === 'accuracy') return measureAccuracy(engine, model, bits, wanted, setting)
  return measure(engine, modelFor(engine, model, bits), wanted, setting)
}

/** Measures what is missing in a round, the engines in turn; false once the time is up. */
async function runRound(round) {
  for (const bits of widths) {
    for (const wanted of cases) {
      if (wanted.kind === 'accuracy' && round > 0) continue
      for (let i = 0; i < engines.length; i++) {
        const engine = engines[(i + round) % engines.length]
        const key = { engine, bits, case: wanted.name }
        const same = results.filter((found) => Object.keys(key).every((k) => found[k] === key[k]))
        if (same.length > round || same.some(({ value }) => value === null)) continue
        if (Date.now() - began > Number(options.budget) * 1000) return false
        const result = { ...key, ...(await resultOf(engine, bits, wanted)) }
        if (engine === 'octavo') result.build = build
        appendFileSync(file, `${JSON.stringify(result)}\n`)
        results.push(result)
        const shown = result.value?.toPrecision(5) ?? result.why
        console.log(`${bits} bits  ${wanted.name}  ${engine}  ${shown}`)
      }
    }
  }
  return true
}

mkdirSync(folder, { recursive: true })
for (const engine of engines) ENGINES[engine].install?.()
let done = true
for (let round = 0; done && round < Number(options.rounds); round++) done = await runRound(round)
if (!done) console.log('The time is up: the same command goes on from here.')
printTable(results, engines)
if (options.write) await writePage(resolve(options.write), results, engines, { ...options, model })
