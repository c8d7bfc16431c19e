// node scripts/build-cuda.mjs [--emulated] [--out FOLDER]      The addon with the CUDA backend, in build-cuda/Release.
//
// --emulated builds it for tests instead, in build-emulated/Release: kernels run on the CPU, checked (docs/cuda.md).
// OCTAVO_CUDA_ARCHITECTURES="90;100" compiles for fewer GPUs than all.
import { statSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { buildWithCMake } from './lib/cmake.mjs'
import { findNvcc, howToGetNvcc } from './lib/cuda.mjs'

const { values: options } = parseArgs({
  options: { emulated: { type: 'boolean' }, out: { type: 'string' } },
})

if (options.emulated) {
  const folder = options.out ?? 'build-emulated'
  buildWithCMake('Compiling the emulated CUDA addon', folder, { OCTAVO_CUDA: 'EMULATED' })
} else {
  const tried = []
  const nvcc = findNvcc(tried)
  if (!nvcc) {
    console.error([howToGetNvcc, ...tried.map((line) => `  found ${line}`)].join('\n'))
    process.exit(1)
  }
  const architectures = process.env.OCTAVO_CUDA_ARCHITECTURES
  const title = `Compiling the CUDA addon with nvcc ${nvcc.version}`
  const addon = buildWithCMake(title, options.out ?? 'build-cuda', {
    OCTAVO_CUDA: 'ON',
    OCTAVO_NVCC: nvcc.path,
    ...(architectures && { OCTAVO_CUDA_ARCHITECTURES: architectures }),
  })
  console.log(`${addon}: ${(statSync(addon).size / 2 ** 20).toFixed(1)} MiB`)
}
