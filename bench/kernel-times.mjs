// Builds bench/native into build-bench/ of a checkout and runs it. Needs CMake.
import { spawn } from 'node:child_process'
import { cpSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { createInterface } from 'node:readline'
import { root, runQuietly } from '../scripts/lib/run.mjs'
import { checkOut, outputOf } from './checkout.mjs'

const programOf = (checkout) => `${checkout}/build-bench/octavo-bench-kernels`

/** Those that this machine has and the addon knows, the best first. */
export function instructionSets() {
  const require = createRequire(import.meta.url)
  return require(require('node-gyp-build').path(root)).instructionSets
}

export function buildKernelBench(checkout = root) {
  const settings = ['-DOCTAVO_BENCH=ON', '-DCMAKE_BUILD_TYPE=Release', '--log-level=WARNING']
  const folder = `${checkout}/build-bench`
  runQuietly('Configuring bench/native', 'cmake', ['-S', checkout, '-B', folder, ...settings])
  const jobs = ['--parallel', String(availableParallelism())]
  const target = ['--target', 'octavo-bench-kernels']
  runQuietly('Compiling the kernels', 'cmake', ['--build', folder, ...target, ...jobs])
}

/** The kernels of another commit, timed as this checkout times them. Gives their checkout. */
export function buildKernelBenchOf(ref) {
  const before = checkOut(ref)
  cpSync(`${root}bench/native`, `${before}/bench/native`, { recursive: true })
  buildKernelBench(before)
  return before
}

const argumentsOf = ({ isa, threads, rounds, groups, rows = [] }) =>
  [isa, threads, rounds, ...groups, ...rows.map((count) => `rows:${count}`)].map(String)

/** What the groups' kernels take, beside the machine's limits; `rows` limits matrix products to some rows. */
export function timeKernels(wanted) {
  const stdio = ['ignore', 'pipe', 'inherit']
  const lines = outputOf(programOf(root), argumentsOf(wanted), { stdio })
  return lines.split('\n').map(JSON.parse)
}

/** A program that times a round when told to. */
function subjectIn(checkout, wanted) {
  const stdio = ['pipe', 'pipe', 'inherit']
  const child = spawn(programOf(checkout), [...argumentsOf(wanted), 'turns'], { stdio })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    tell: () => child.stdin.write('\n'),
    /** What it found, or undefined at the end. */
    hear: async () => {
      const { value, done } = await lines.next()
      return done ? undefined : JSON.parse(value)
    },
  }
}

/** Kernels of checkouts in turns, round by round: yields an op and, of each checkout, what its rounds took. */
export async function* compareKernels(wanted, checkouts) {
  const subjects = checkouts.map((checkout) => subjectIn(checkout, wanted))
  for (;;) {
    let ready
    for (const subject of subjects) ready = await subject.hear()
    if (!ready) return
    const found = subjects.map(() => [])
    for (let round = 0; round < Number(wanted.rounds); round++) {
      for (let turn = 0; turn < subjects.length; turn++) {
        const i = (round + turn) % subjects.length // who comes first changes
        subjects[i].tell()
        found[i].push(await subjects[i].hear())
      }
    }
    yield { op: ready.op, detail: ready.detail, found }
    for (const subject of subjects) subject.tell()
  }
}
