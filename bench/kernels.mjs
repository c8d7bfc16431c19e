// npm run bench:kernels -- [--isa avx512,avx2] [--threads 1] [--rounds 5] [--groups int8,attention]
// Times every kernel of the CPU backend beside the multiply-add peak and the memory bandwidth that the
// same threads reach in the same seconds. Needs CMake; builds into build-bench/.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = `${root}build-bench`
const { values: options } = parseArgs({
  options: {
    isa: { type: 'string', default: '' },
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string', default: '5' },
    groups: { type: 'string', default: 'linear,attention,small,sample' },
  },
})

function run(program, args, stdio) {
  const { status, error, stdout } = spawnSync(program, args, { cwd: root, stdio, encoding: 'utf8' })
  if (error) throw error
  if (status !== 0) throw new Error(`${program} ended with ${status}`)
  return stdout
}

function instructionSets() {
  const path = createRequire(import.meta.url)('node-gyp-build').path(root)
  return createRequire(import.meta.url)(path).instructionSets
}

function build() {
  const settings = ['-DOCTAVO_BENCH=ON', '-DCMAKE_BUILD_TYPE=Release', '--log-level=WARNING']
  run('cmake', ['-S', root, '-B', folder, ...settings], ['ignore', 'ignore', 'inherit'])
  const jobs = ['--parallel', String(availableParallelism())]
  const target = ['--target', 'octavo-bench-kernels']
  run('cmake', ['--build', folder, ...target, ...jobs], ['ignore', 'ignore', 'inherit'])
}

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

build()
const sets = options.isa ? options.isa.split(',') : instructionSets()
for (const isa of sets) {
  console.log(`\n${isa}, ${options.threads} threads; shares of the peak and of the read bandwidth`)
  const args = [isa, options.threads, options.rounds, ...options.groups.split(',')]
  const lines = run(`${folder}/octavo-bench-kernels`, args, ['ignore', 'pipe', 'inherit'])
  for (const line of lines.trim().split('\n')) print(JSON.parse(line))
}
