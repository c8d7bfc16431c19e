// Builds bench/native into build-bench/ and runs it. Needs CMake.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = `${root}build-bench`

function run(program, args, stdio) {
  const { status, error, stdout } = spawnSync(program, args, { cwd: root, stdio, encoding: 'utf8' })
  if (error) throw error
  if (status !== 0) throw new Error(`${program} ended with ${status}`)
  return stdout
}

/** Those that this machine has and the addon knows, the best first. */
export function instructionSets() {
  const require = createRequire(import.meta.url)
  return require(require('node-gyp-build').path(root)).instructionSets
}

export function buildKernelBench() {
  const settings = ['-DOCTAVO_BENCH=ON', '-DCMAKE_BUILD_TYPE=Release', '--log-level=WARNING']
  run('cmake', ['-S', root, '-B', folder, ...settings], ['ignore', 'ignore', 'inherit'])
  const jobs = ['--parallel', String(availableParallelism())]
  const target = ['--target', 'octavo-bench-kernels']
  run('cmake', ['--build', folder, ...target, ...jobs], ['ignore', 'ignore', 'inherit'])
}

/** What the groups' kernels take, beside the machine's limits; `rows` limits matrix products to some rows. */
export function timeKernels({ isa, threads, rounds, groups, rows = [] }) {
  const args = [isa, threads, rounds, ...groups, ...rows.map((count) => `rows:${count}`)]
  const program = `${folder}/octavo-bench-kernels`
  const lines = run(program, args.map(String), ['ignore', 'pipe', 'inherit'])
  return lines.trim().split('\n').map(JSON.parse)
}
