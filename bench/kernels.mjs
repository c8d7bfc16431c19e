// npm run bench:kernels -- [--isa avx512,avx2] [--threads 1] [--rounds 5] [--groups int8,attention] [--rows 1,48]
//   [--against REF]
// Times every kernel of the CPU backend beside the multiply-add peak and the memory bandwidth that the
// same threads reach in the same seconds. --rows limits matrix products to some rows of inputs.
// --against: beside the kernels of another commit, which take turns of some milliseconds with these;
// prints the median and the quartiles of the rounds' ratios of time, and both medians of the shares.
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { root } from '../scripts/lib/run.mjs'
import {
  buildKernelBench,
  buildKernelBenchOf,
  compareKernels,
  instructionSets,
  timeKernels,
} from './kernel-times.mjs'
import { median, percentile } from './statistics.mjs'

const { values: options } = parseArgs({
  options: {
    isa: { type: 'string', default: '' },
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string', default: '5' },
    groups: { type: 'string', default: 'linear,attention,small,sample' },
    rows: { type: 'string' },
    against: { type: 'string' },
  },
})

const percent = (share) => (share > 0 ? `${(share * 100).toFixed(0)} %` : '').padStart(8)

function print({ op, detail, seconds, flops, bytes, flopsShare, bytesShare }) {
  const time =
    seconds < 1e-3 ? `${(seconds * 1e6).toFixed(1)} µs` : `${(seconds * 1e3).toFixed(2)} ms`
  const speed = flops > 0 ? `${(flops / 1e9).toFixed(1)} GFLOPS`.padStart(14) : ''.padStart(14)
  const traffic = bytes > 0 ? `${(bytes / 1e9).toFixed(1)} GB/s`.padStart(12) : ''.padStart(12)
  const name = `${op} ${detail}`.padEnd(46)
  console.log(
    `${name}${time.padStart(12)}${speed}${percent(flopsShare)}${traffic}${percent(bytesShare)}`,
  )
}

function printCompared({ op, detail, found: [before, now] }) {
  const ratios = now.map(({ seconds }, i) => seconds / before[i].seconds)
  const [low, high] = [0.25, 0.75].map((part) => percentile(ratios, part).toFixed(2))
  const share = (rounds, name) => percent(median(rounds.map((found) => found[name])))
  const shares = ['flopsShare', 'bytesShare'].map((name) => share(before, name) + share(now, name))
  console.log(
    `${`${op} ${detail}`.padEnd(46)}  ${median(ratios).toFixed(2)} (${low} to ${high})${shares.join('  ')}`,
  )
}

buildKernelBench()
const checkouts = options.against ? [buildKernelBenchOf(options.against), root] : [root]
const sets = options.isa ? options.isa.split(',') : instructionSets()
const { threads, rounds } = options
const groups = options.groups.split(',')
const rows = options.rows?.split(',')
for (const isa of sets) {
  const wanted = { isa, threads, rounds, groups, rows }
  const limits = 'shares of the peak and of the read bandwidth'
  if (options.against) {
    console.log(
      `\n${isa}, ${threads} threads: time beside ${options.against}'s; ${limits}, before and now`,
    )
    for await (const compared of compareKernels(wanted, checkouts)) printCompared(compared)
  } else {
    console.log(`\n${isa}, ${threads} threads; ${limits}`)
    for (const found of timeKernels(wanted)) print(found)
  }
}
