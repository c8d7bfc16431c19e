// Builds the core without Node by CMake, and replays recordings with it (docs/replay.md).
import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { root, run } from './run.mjs'

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

/** Runs a program to its end; when it fails, so does this process. */
export function check(program, args) {
  const status = run(program, args)
  if (status === 0) return
  console.error(`${program} ${args.join(' ')} failed`)
  process.exit(1)
}
