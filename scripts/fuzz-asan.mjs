// npm run fuzz:asan [-- ANY OPTIONS OF VITEST]
//
// Builds the addon under AddressSanitizer with UndefinedBehaviorSanitizer in build-fuzz/, and has it read the
// 20,000 broken files of test/slow/37. Needs Linux, CMake and gcc.
import { spawnSync } from 'node:child_process'
import { buildWithCMake } from './lib/cmake.mjs'
import { run } from './lib/run.mjs'

const addon = buildWithCMake('Compiling the addon under AddressSanitizer', 'build-fuzz', {
  OCTAVO_SANITIZE: 'address',
})
const { stdout } = spawnSync('gcc', ['-print-file-name=libasan.so'], { encoding: 'utf8' })
const test = ['run', '--mode', 'full', '--project', 'slow', 'test/slow/37.broken-files.test.ts']
process.exitCode = run('npx', ['vitest', ...test, ...process.argv.slice(2)], {
  env: {
    ...process.env,
    OCTAVO_ADDON: addon,
    LD_PRELOAD: stdout.trim(),
    ASAN_OPTIONS: 'detect_leaks=0', // Node's own
  },
})
