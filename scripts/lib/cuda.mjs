import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { root } from './run.mjs'

const NEEDED = 13 // the first whose sm_100 and C++17 we rely on
const program = process.platform === 'win32' ? 'nvcc.exe' : 'nvcc'
const pipPackages = ['nvcc', 'crt', 'cccl', 'runtime'].map((name) => `nvidia-cuda-${name}==13.0.*`)

export const howToGetNvcc =
  `CUDA ${NEEDED} or later is needed to build the CUDA backend. Install the CUDA toolkit, or without root:\n` +
  `  python3 -m venv build-cuda-toolkit\n` +
  `  build-cuda-toolkit/bin/pip install '${pipPackages.join("' '")}' 'nvidia-nvvm==13.0.*'\n` +
  `npm run build:cuda looks in CUDA_HOME, CUDA_PATH, PATH, build-cuda-toolkit and what python3 imports.`

/** The CUDA compiler: `{ path, version }`, or null. `tried` receives each place that did not do. */
export function findNvcc(tried = []) {
  for (const path of nvccPlaces()) {
    if (!existsSync(path)) continue
    const { stdout, error } = spawnSync(path, ['--version'], { encoding: 'utf8' })
    const version = /release (\d+)\.(\d+)/.exec(stdout ?? '')
    if (version && Number(version[1]) >= NEEDED)
      return { path, version: `${version[1]}.${version[2]}` }
    tried.push(`${path}: ${version ? `version ${version[1]}.${version[2]}` : (error ?? 'fails')}`)
  }
  return null
}

function* nvccPlaces() {
  for (const name of ['CUDA_HOME', 'CUDA_PATH'])
    if (process.env[name]) yield join(process.env[name], 'bin', program)
  for (const folder of (process.env.PATH ?? '').split(delimiter)) yield join(folder, program)
  yield join('/usr/local/cuda/bin', program)
  for (const python of [join(root, 'build-cuda-toolkit/bin/python3'), 'python3']) {
    const script = 'import nvidia; print("\\n".join(nvidia.__path__))'
    const { stdout } = spawnSync(python, ['-c', script], { encoding: 'utf8' })
    for (const folder of (stdout ?? '').split('\n').filter(Boolean))
      yield join(folder.trim(), 'cu13/bin', program)
  }
}
