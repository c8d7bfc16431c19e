// node scripts/sanitizers.mjs [address] [thread]      Both if none is named: `npm run test:asan`.
//
// Builds the core without Node under AddressSanitizer with UndefinedBehaviorSanitizer (build-asan/) and under
// ThreadSanitizer (build-tsan/), tests the engine thread and the pool of threads, and replays recordings on every instruction set
// of this CPU, the only ones that are compiled, with 1, 2 and 3 threads, and tests of attention and adapters with 3. Needs CMake and gcc
// or clang.
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { buildReplay, check, recordTests, replayAll, replayTests } from './lib/replay.mjs'
import { root } from './lib/run.mjs'

const folders = { address: 'build-asan', thread: 'build-tsan' }

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

// Over pairs of tokens, in blocks that end within one too.
const pairs = 'rotary embedding and attention .* rounded: true: (is right|gives the same bits)'
const cases = existsSync(addon) ? recordTests(['test/45', 'test/132'], `${pairs}|adapters`) : []

for (const sanitizer of wanted) {
  console.log(`${sanitizer} sanitizer`)
  const settings = [
    `-DOCTAVO_SANITIZE=${sanitizer}`,
    `-DOCTAVO_INSTRUCTION_SETS=${sets.join(';')}`,
    '-DOCTAVO_TESTS=ON',
  ]
  const folder = buildReplay(folders[sanitizer], settings)
  for (const test of ['octavo-runner-test', 'octavo-pool-test']) check(join(folder, test), [])
  const replay = [join(folder, 'octavo-replay')]
  replayAll(replay, sets, 3)
  if (cases.length > 0) replayTests(replay, sets, 3, cases)
}
