// Imported first by tests of the addon as nvcc compiles it: builds it for one architecture, beside build-cuda/, which
// engines would find, and makes it the addon of this process.
import { join } from 'node:path'
import { findNvcc } from '../../scripts/lib/cuda.mjs'
import { isStale } from '../../scripts/lib/freshness.mjs'
import { root, succeed } from './commands.js'

export const cudaBuild = join(root, 'build-cuda-test')
const addon = join(cudaBuild, 'Release/octavo.node')
const sources = ['CMakeLists.txt', 'csrc'].map((path) => join(root, path))

/** Why the addon cannot be built here; '' where it can. */
export const whyNotBuilt = findNvcc() === null ? 'nvcc 13 or later is missing' : ''

if (whyNotBuilt === '') {
  if (isStale(addon, sources)) build()
  process.env.OCTAVO_ADDON = addon
} else {
  console.warn(`the CUDA addon is not tested as nvcc compiles it: ${whyNotBuilt}`)
}

function build() {
  const env = { ...process.env, OCTAVO_CUDA_ARCHITECTURES: '90' }
  succeed(process.execPath, ['scripts/build-cuda.mjs', '--out', 'build-cuda-test'], { env })
}
