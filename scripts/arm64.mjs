// node scripts/arm64.mjs      `npm run test:arm64`
//
// Compiles the core without Node for 64-bit ARM (build-arm64/) and replays recordings with the NEON and the
// portable kernels in an emulator. Needs CMake and, on Debian, the packages g++-aarch64-linux-gnu and
// qemu-user; says so and succeeds where they are missing.
import { join } from 'node:path'
import { buildReplay, replayAll } from './lib/replay.mjs'
import { isInstalled } from './lib/run.mjs'

const compiler = 'aarch64-linux-gnu-g++'
const emulator = 'qemu-aarch64'

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
replayAll([emulator, join(folder, 'octavo-replay')], ['neon', 'portable'], 1)
