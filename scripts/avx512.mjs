// node scripts/avx512.mjs      `npm run test:avx512`
//
// Compiles the addon's kernels of AVX-512 and AVX-VNNI for AVX2, with their intrinsics emulated
// (test/native/emulated_avx512.h, build-avx512/), and runs the tests of kernels and of whole engines on them. The
// intrinsics are tested too, and where the processor has them itself, so are its own, by the same program. Needs the
// addon in build/, AVX2, CMake and gcc or clang; says so and succeeds where they are missing.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { buildWithCMake } from './lib/cmake.mjs'
import { check } from './lib/replay.mjs'
import { isInstalled, root, runQuietly } from './lib/run.mjs'

const emulated = ['avx512_bf16', 'avx512', 'avx_vnni']
const { instructionSets } = createRequire(import.meta.url)('../build/Release/octavo.node')

const missing = [
  !instructionSets.includes('avx2') && 'AVX2',
  process.platform === 'win32' && 'a compiler that takes -include',
  !isInstalled('cmake') && 'cmake',
].filter(Boolean)
if (missing.length > 0) {
  console.log(`AVX-512 is not emulated: ${missing.join(' and ')} not found.`)
  process.exit(0)
}

const folder = 'build-avx512'
const settings = { OCTAVO_EMULATED_AVX512: 'ON' }
const addon = buildWithCMake('Compiling the emulated kernels', folder, settings)

check(join(root, folder, 'octavo-emulated-avx512-test'), emulated)
const own = emulated.filter((isa) => instructionSets.includes(isa))
console.log(`Of these, the processor itself has ${own.length > 0 ? own.join(' and ') : 'none'}.`)
if (own.length > 0) check(join(root, folder, 'octavo-own-avx512-test'), own)

const ofEachSet = `\\b(${emulated.join('|')})\\b|instruction set`
testEachSet('Kernels', 'fast', ['test/45', 'test/46', 'test/47'])
testEachSet('Whole engines', 'slow', ['test/slow/58'])
// The best set unless one is named: avx512_bf16.
const ops = ['test/74', 'test/78', 'test/86', 'test/88']
test('Attention, states, experts and windows', 'fast', ops)

/** Runs the tests that name an instruction set; ends this process where a set has none. */
function testEachSet(title, project, files) {
  const passed = test(title, project, [...files, '-t', ofEachSet])
  const counts = emulated.map((isa) => passed.filter((name) => hasWord(name, isa)).length)
  console.log(emulated.map((isa, i) => `  ${isa}: ${counts[i]} tests`).join('\n'))
  if (!counts.includes(0)) return
  console.error('expected tests of every emulated instruction set')
  process.exit(1)
}

/** Runs tests on the emulated kernels, and gives the lines that name those that passed. */
function test(title, project, args) {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs')
  const options = ['run', '--project', project, '--reporter=verbose', ...args]
  const env = { ...process.env, OCTAVO_ADDON: addon }
  const output = runQuietly(title, process.execPath, [vitest, ...options], { env })
  return stripVTControlCharacters(output)
    .split('\n')
    .filter((line) => line.includes('✓'))
}

function hasWord(text, word) {
  return new RegExp(`\\b${word}\\b`).test(text)
}
