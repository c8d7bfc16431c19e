// node scripts/clang-format.mjs [--check]      Formats the C++ code, or fails where it is not formatted.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { root, run, runQuietly } from './lib/run.mjs'

const version = '20.1.8' // Versions differ in what they make of the same style file.

/** The fixed version from PATH, or else from PyPI into node_modules/.cache. */
function findClangFormat() {
  const found = spawnSync('clang-format', ['--version'], { encoding: 'utf8' }).stdout
  if (found?.includes(`version ${version}`)) return 'clang-format'
  const folder = join(root, 'node_modules/.cache', `clang-format-${version}`)
  const program = join(folder, 'clang_format/data/bin/clang-format')
  if (!existsSync(program)) {
    const python = process.platform === 'win32' ? 'python' : 'python3'
    const install = ['-m', 'pip', 'install', '--quiet', '--target', folder]
    runQuietly(`Fetching clang-format ${version}`, python, [...install, `clang-format==${version}`])
  }
  return program
}

const files = ['csrc', 'bench/native', 'test/native'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .filter((path) => /\.(cc|cpp|h|cu|cuh)$/.test(path))
    .map((path) => join(folder, path)),
)
const mode = process.argv.includes('--check') ? ['--dry-run', '--Werror'] : ['-i']
process.exit(run(findClangFormat(), ['--style=file', ...mode, ...files]))
