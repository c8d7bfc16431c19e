// Imported first by tests of the CUDA backend: builds the addon whose kernels run on the CPU, checked
// (docs/cuda.md), and makes it the addon of this process.
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isStale } from '../../scripts/lib/freshness.mjs'
import { root, succeed } from './commands.js'

const folder = join(root, 'build-emulated')
const addon = join(folder, 'Release/octavo.node')
const sources = ['CMakeLists.txt', 'csrc', 'test/native'].map((path) => join(root, path))

/** Why the addon cannot be built here; '' where it can. */
export const whyNotEmulated =
  process.platform === 'win32'
    ? 'the emulator needs mmap and inline assembly'
    : spawnSync('cmake', ['--version']).error
      ? 'CMake is missing'
      : ''

const addonOnGpu = process.env.OCTAVO_CUDA_TEST_ADDON // scripts/gpu-check: the same tests, where there is a GPU
/** Whether a GPU computes: nothing of the emulator itself is there to be tested. */
export const onGpu = addonOnGpu !== undefined
if (addonOnGpu !== undefined) {
  process.env.OCTAVO_ADDON = addonOnGpu
} else if (whyNotEmulated === '') {
  buildOnce()
  process.env.OCTAVO_ADDON = addon
} else {
  console.warn(`the CUDA backend is not tested: ${whyNotEmulated}`)
}

/** The program of the emulator's own tests. */
export const emulatorTest = join(folder, 'csrc/cuda/octavo-emulator-test')

/** A shared library that is built beside it. */
export const emulatedLibrary = (name: string) => join(folder, `Release/lib${name}.so`)

/** Test files run beside each other: the first one builds, the others wait. */
function buildOnce() {
  const lock = `${folder}.lock`
  while (isStale(addon, sources)) {
    if (!takes(lock)) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
      continue
    }
    try {
      succeed(process.execPath, ['scripts/build-cuda.mjs', '--emulated'])
    } finally {
      rmSync(lock, { recursive: true })
    }
    return
  }
}

function takes(lock: string): boolean {
  try {
    mkdirSync(lock)
    return true
  } catch {
    return false
  }
}
