// npm run bench:kernels -- [--isa avx512,avx2] [--threads 1] [--rounds 5] [--groups int8,attention] [--rows 1,48]
// Times every kernel of the CPU backend beside the multiply-add peak and the memory bandwidth that the
// same threads reach in the same seconds. --rows limits matrix products to some rows of inputs.
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { buildKernelBench, instructionSets, timeKernels } from './kernel-times.mjs'

const { values: options } = parseArgs({
  options: {
    isa: { type: 'string', default: '' },
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string', default: '5' },
    groups: { type: 'string', default: 'linear,attention,small,sample' },
    rows: { type: 'string' },
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

buildKernelBench()
const sets = options.isa ? options.isa.split(',') : instructionSets()
const { threads, rounds } = options
for (const isa of sets) {
  console.log(`\n${isa}, ${threads} threads; shares of the peak and of the read bandwidth`)
  const groups = options.groups.split(',')
  const rows = options.rows?.split(',')
  for (const found of timeKernels({ isa, threads, rounds, groups, rows })) print(found)
}
