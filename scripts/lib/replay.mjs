// Builds the core without Node by CMake, and replays recordings with it (docs/replay.md).
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { root, run, runQuietly } from './run.mjs'

const threads = [1, 2, 3]

/** The recordings of the fixtures, and those that were made beside them. */
const recordings = [join(root, 'test/fixtures/recordings'), join(root, 'build-recordings')]
  .filter(existsSync)
  .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))

/** Compiles into a folder of the checkout; gives its path. */
export function buildReplay(name, settings) {
  const folder = join(root, name)
  check('cmake', ['-S', root, '-B', folder, '--log-level=WARNING', ...settings])
  check('cmake', ['--build', folder, '--parallel', String(availableParallelism())])
  return folder
}

/** Replays every recording on each instruction set with 1, 2 and 3 threads. `command` runs octavo-replay. */
export function replayAll([program, ...args], instructionSets, repeat) {
  for (const recording of recordings) {
    for (const isa of instructionSets) {
      for (const count of threads) {
        const options = ['--threads', String(count), '--isa', isa, '--repeat', String(repeat)]
        check(program, [...args, ...options, recording])
      }
    }
  }
}

/**
 * Records what tests run on the portable kernels, and what they expect of it, into build/cases. Gives the recordings'
 * folders. `names` is a pattern of the tests' names; needs the addon in build/.
 */
export function recordTests(files, names) {
  const cases = join(root, 'build/cases')
  rmSync(cases, { recursive: true, force: true })
  const vitest = join(root, 'node_modules/vitest/vitest.mjs')
  const env = { ...process.env, OCTAVO_RECORD_CASES: cases, OCTAVO_RECORD_ISA: 'portable' }
  const args = [vitest, 'run', '--project', 'fast', ...files, '-t', `^portable: (${names})`]
  runQuietly('Recording the tests of kernels', process.execPath, args, { env })
  return readdirSync(cases).map((name) => join(cases, name))
}

/** Replays those recordings on each instruction set. */
export function replayTests([program, ...args], instructionSets, threads, folders) {
  for (const isa of instructionSets) {
    const title = `${folders.length} tests of kernels on ${isa}`
    const options = ['--isa', isa, '--threads', String(threads), ...folders]
    runQuietly(title, program, [...args, ...options])
  }
}

/** Runs a program to its end; when it fails, so does this process. */
export function check(program, args) {
  const status = run(program, args)
  if (status === 0) return
  console.error(`${program} ${args.join(' ')} failed`)
  process.exit(1)
}
