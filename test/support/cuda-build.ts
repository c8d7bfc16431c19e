// Imported first by tests of the addon as nvcc compiles it, which it makes the addon of this process: that of build-cuda/,
// of all architectures, where it is fresh, or else one for sm_90 that it builds beside it, since engines would find the other.
import { join } from 'node:path'
import { findNvcc } from '../../scripts/lib/cuda.mjs'
import { isStale } from '../../scripts/lib/freshness.mjs'
import { root, succeed } from './commands.js'

const sources = ['CMakeLists.txt', 'csrc'].map((path) => join(root, path))
const addonOf = (folder: string) => join(root, folder, 'Release/octavo.node')
const ready = !isStale(addonOf('build-cuda'), sources)
export const cudaBuild = join(root, ready ? 'build-cuda' : 'build-cuda-test')
const addon = join(cudaBuild, 'Release/octavo.node')

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
