// node scripts/arm64.mjs      `npm run test:arm64`
//
// Compiles the core without Node for 64-bit ARM (build-arm64/) and replays recordings on each of its instruction
// sets in an emulator: those of whole models, and what the kernels' tests expect of the portable kernels. Needs the
// addon in build/, CMake and, on Debian, the packages g++-aarch64-linux-gnu and qemu-user; says so and succeeds
// where they are missing.
import { join } from 'node:path'
import { buildReplay, recordTests, replayAll, replayTests } from './lib/replay.mjs'
import { isInstalled, root, runQuietly } from './lib/run.mjs'

const compiler = 'aarch64-linux-gnu-g++'
const emulator = 'qemu-aarch64'
const instructionSets = ['neon_i8mm', 'neon_dotprod', 'neon', 'portable']

const missing = [compiler, emulator].filter((program) => !isInstalled(program))
if (missing.length > 0) {
  console.log(`Not tested on 64-bit ARM: ${missing.join(' and ')} not found.`)
  process.exit(0)
}
const folder = buildReplay('build-arm64', [
  '-DCMAKE_SYSTEM_NAME=Linux',
  '-DCMAKE_SYSTEM_PROCESSOR=aarch64',
  `-DCMAKE_CXX_COMPILER=${compiler}`,
  '-DCMAKE_EXE_LINKER_FLAGS=-static',
])
const replay = [emulator, '-cpu', 'max', join(folder, 'octavo-replay')]
checkChoices()
replayAll(replay, instructionSets, 1)
const names = 'linear|adapters|rows on|products of codes|.* is right at every position'
replayTests(replay, instructionSets, 1, recordTests(['test/45', 'test/47', 'test/132'], names))

/** The instruction set that each processor gets unless one is named. */
function checkChoices() {
  const best = { 'cortex-a72': 'neon', 'cortex-a76': 'neon_dotprod', max: 'neon_i8mm' }
  const recording = join(root, 'test/fixtures/recordings/toy')
  for (const [cpu, isa] of Object.entries(best)) {
    const args = ['-cpu', cpu, join(folder, 'octavo-replay'), '--threads', '1', recording]
    const output = runQuietly(`The best instructions of ${cpu}`, emulator, args)
    if (output.startsWith(`cpu ${isa},`)) continue
    console.error(`${cpu}: expected ${isa}, found: ${output}`)
    process.exit(1)
  }
}
