// npm run bench:shares -- --model MODEL-Q4_1.gguf [--threads N] [--rounds 5] [--write docs/performance.md]
// What the machine allows, measured beside what is reached. One sequence: the bytes of weights that its tokens read
// a second, of the bandwidth at which the same threads read memory. Matrix products of 48 rows: their
// multiply-adds a second, of what their instructions reach in registers. --write puts the tables between the
// page's marks.
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { readGguf } from '../dist/weights/gguf.js'
import { buildKernelBench, instructionSets, timeKernels } from './kernel-times.mjs'
import { table, writeSection } from './markdown.mjs'
import { parseCase } from './peers/cases.mjs'
import { measure, modelFor } from './peers/engines.mjs'
import { median } from './statistics.mjs'

const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string', default: '5' },
    write: { type: 'string' },
  },
})
if (!options.model) throw new TypeError('--model: expected the path of a GGUF file')
const { threads, rounds } = options

/** The kernels that have a limit of their own. */
const KERNELS = [
  { type: 'float32', isa: 'avx512', limit: 'multiply-adds of float32' },
  { type: 'float32', isa: 'avx2', limit: 'multiply-adds of float32' },
  { type: 'bfloat16/rounded', isa: 'avx512_bf16', limit: 'pairs of bfloat16' },
  { type: 'int16', isa: 'avx512', limit: 'VNNI, words' },
  { type: 'int8/32', isa: 'avx512', limit: 'VNNI' },
  { type: 'int4/32', isa: 'avx512', limit: 'VNNI' },
  { type: 'int8/32', isa: 'avx_vnni', limit: 'VNNI, 256 bits' },
  { type: 'int4/32', isa: 'avx_vnni', limit: 'VNNI, 256 bits' },
  { type: 'int8/32', isa: 'avx2', limit: 'maddubs' },
  { type: 'int4/32', isa: 'avx2', limit: 'maddubs, codes of 4 bits' },
]
const WIDTHS = [4, 8, 16]

const percent = (share) => `${(share * 100).toFixed(0)} %`

/** Bytes of weights that a token reads: all tensors of the file, of which the head may be the embedding. */
async function weightBytes(file) {
  const { tensors } = await readGguf(file)
  return tensors.reduce((sum, { length }) => sum + length, 0)
}

function bandwidth() {
  const [limits] = timeKernels({ isa: instructionSets()[0], threads, rounds: 3, groups: ['none'] })
  return limits.bytes
}

async function singleRows() {
  const model = resolve(options.model)
  const found = WIDTHS.map(() => ({ speeds: [], shares: [], reads: [] }))
  const files = WIDTHS.map((bits) => modelFor('octavo', model, bits))
  const sizes = await Promise.all(files.map(weightBytes))
  for (let round = 0; round < Number(rounds); round++) {
    for (const [i, file] of files.entries()) {
      const before = bandwidth()
      const setting = { threads, isa: 'auto', deadline: 60 }
      const { value, why } = measure('octavo', file, parseCase('single'), setting)
      if (value === null) throw new Error(why)
      const read = (before + bandwidth()) / 2
      found[i].speeds.push(value)
      found[i].reads.push(read)
      found[i].shares.push((value * sizes[i]) / read)
    }
  }
  return found.map(({ speeds, shares, reads }, i) => [
    `${WIDTHS[i]} bits`,
    (sizes[i] / 1e6).toFixed(0),
    median(speeds).toFixed(0),
    (median(reads) / 1e9).toFixed(1),
    percent(median(shares)),
  ])
}

function kernelRows() {
  const rows = []
  const known = KERNELS.filter(({ isa }) => instructionSets().includes(isa))
  for (const { type, isa, limit } of known) {
    const times = timeKernels({ isa, threads, rounds, groups: [type], rows: [48] })
    const products = times.filter(({ op }) => op === 'linear')
    const peak = median(products.map(({ flops, flopsShare }) => flops / flopsShare / 2))
    const shares = products.map(({ flopsShare }) => percent(flopsShare))
    rows.push([type, isa, `${limit}: ${(peak / 1e9).toFixed(0)} G`, ...shares])
  }
  return rows
}

buildKernelBench()
const single = table(
  ['one sequence', 'MB a token', 'tokens a second', 'memory, GB/s', 'share'],
  await singleRows(),
)
const shapes = ['576 × 960', '576 × 576', '576 × 3072', '1536 × 576', '576 × 49152']
const kernels = table(['48 rows', 'instructions', 'limit, a second', ...shapes], kernelRows())
const text = `${single}\n\n${kernels}`
console.log(text)
if (options.write) {
  const heading = `${threads} threads, medians of ${rounds} rounds.`
  await writeSection(options.write, 'bench:shares', `${heading}\n\n${text}`)
}
