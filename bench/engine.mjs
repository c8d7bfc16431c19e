// npm run bench -- [--model MODEL] [--cases single,prefill,…] [--against REF] [--rounds 5] [--OPTION VALUE]
// Whole-engine speed of this checkout beside that of another commit (HEAD~1; 'none': of this one alone),
// in turn and each case in a new process. The other commit is built in build-before/. Options: threads,
// isa, quantization. Prints medians and how many times faster this checkout is.
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { root } from '../scripts/lib/run.mjs'
import { checkOut, outputOf } from './checkout.mjs'
import { parseCase } from './peers/cases.mjs'
import { median } from './statistics.mjs'

const { values: options } = parseArgs({
  options: {
    model: { type: 'string', default: 'models/smollm2' },
    cases: { type: 'string', default: 'single,prefill,batch:8,batch:32' },
    against: { type: 'string', default: 'HEAD~1' },
    rounds: { type: 'string', default: '5' },
    threads: { type: 'string', default: String(availableParallelism()) },
    isa: { type: 'string', default: 'auto' },
    quantization: { type: 'string', default: 'none' },
  },
})

/** Another commit, built with packages of its own. */
function buildBefore() {
  const before = checkOut(options.against)
  outputOf(process.execPath, ['scripts/setup.mjs'], { cwd: before })
  return before
}

/** The value of a case (peers/cases.mjs) on the engine of a checkout. */
function measure(checkout, wanted) {
  const model = existsSync(join(root, options.model)) ? resolve(root, options.model) : options.model
  const environment = {
    ...process.env,
    BENCH_CHECKOUT: checkout,
    BENCH_THREADS: options.threads,
    BENCH_ISA: options.isa,
    BENCH_QUANTIZATION: options.quantization,
    BENCH_STARTED: String(Date.now()),
  }
  const program = join(root, 'bench/peers/octavo.mjs')
  const output = outputOf(process.execPath, [program, model, JSON.stringify(wanted)], {
    env: environment,
  })
  return JSON.parse(output.split('\n').at(-1)).value
}

const alone = options.against === 'none'
const checkouts = alone ? [root] : [buildBefore(), root]
console.log(`case\t${alone ? 'now' : `${options.against}\tnow\tratio`}`)
for (const wanted of options.cases.split(',').map(parseCase)) {
  const found = checkouts.map(() => [])
  for (let round = 0; round < Number(options.rounds); round++)
    checkouts.forEach((checkout, i) => found[i].push(measure(checkout, wanted)))
  const medians = found.map(median)
  const ratio = wanted.kind === 'load' ? medians[0] / medians[1] : medians[1] / medians[0]
  const cells = medians.map((value) => value.toFixed(1))
  console.log([wanted.name, ...cells, ...(alone ? [] : [ratio.toFixed(3)])].join('\t'))
}
