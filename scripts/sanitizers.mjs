// node scripts/sanitizers.mjs [address] [thread]      Both if none is named: `npm run test:asan`.
//
// Builds the core without Node under AddressSanitizer with UndefinedBehaviorSanitizer (build-asan/) and under
// ThreadSanitizer (build-tsan/), tests the engine thread, and replays recordings on every instruction set
// of this CPU with 1, 2 and 3 threads. Needs CMake and gcc or clang.
import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { root, run } from './lib/run.mjs'

const folders = { address: 'build-asan', thread: 'build-tsan' }
const threads = [1, 2, 3]
const recordings = [join(root, 'test/fixtures/recordings'), join(root, 'build-recordings')]
  .filter(existsSync)
  .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))

const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(folders)
for (const sanitizer of wanted) {
  if (!(sanitizer in folders)) {
    console.error(`No sanitizer "${sanitizer}". There are: ${Object.keys(folders).join(', ')}.`)
    process.exit(1)
  }
}

const addon = join(root, 'build/Release/octavo.node')
const sets = existsSync(addon)
  ? createRequire(import.meta.url)(addon).instructionSets
  : ['portable']

for (const sanitizer of wanted) {
  console.log(`${sanitizer} sanitizer`)
  const folder = build(sanitizer)
  check(join(folder, 'octavo-runner-test'), [])
  for (const recording of recordings) {
    for (const isa of sets) {
      for (const count of threads) {
        const options = ['--threads', String(count), '--isa', isa, '--repeat', '3']
        check(join(folder, 'octavo-replay'), [...options, recording])
      }
    }
  }
}

function build(sanitizer) {
  const folder = join(root, folders[sanitizer])
  const settings = [`-DOCTAVO_SANITIZE=${sanitizer}`, '-DOCTAVO_TESTS=ON']
  check('cmake', ['-S', root, '-B', folder, '--log-level=WARNING', ...settings])
  check('cmake', ['--build', folder, '--parallel', String(availableParallelism())])
  return folder
}

function check(program, args) {
  const status = run(program, args)
  if (status === 0) return
  console.error(`${program} ${args.join(' ')} failed`)
  process.exit(1)
}
