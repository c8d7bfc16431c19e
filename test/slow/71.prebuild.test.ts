import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { attempt, root, succeed } from '../support/commands.js'
import { GENERATE, installInto, pack } from '../support/package.js'

const platform = `${process.platform}-${process.arch}`
const stage = join(root, 'build-prebuild-test') // beside build/, since a rename cannot cross disks

let folder: string
let noCompiler: NodeJS.ProcessEnv
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'octavo-prebuild-'))
  noCompiler = environmentWithoutCompiler(join(folder, 'bin'))
  rmSync(stage, { recursive: true, force: true })
  mkdirSync(stage)
})
afterAll(() => {
  rmSync(folder, { recursive: true })
  rmSync(stage, { recursive: true })
})

/** PATH holds only node, npm and the shell that npm starts scripts with. */
function environmentWithoutCompiler(bin: string): NodeJS.ProcessEnv {
  mkdirSync(bin)
  for (const name of ['node', 'npm', 'sh', 'env']) {
    symlinkSync(succeed('sh', ['-c', `command -v ${name}`]).trim(), join(bin, name))
  }
  return { ...process.env, PATH: bin, CC: '/nonexistent', CXX: '/nonexistent' }
}

// Windows has no PATH that could be cut down like this: there the release workflow tries the prebuild.
describe.skipIf(process.platform === 'win32')('a package with a prebuild of its platform', () => {
  test('is made by scripts/prebuild.mjs without touching build/', () => {
    succeed(process.execPath, ['scripts/prebuild.mjs', stage])
    const [file, ...others] = readdirSync(join(stage, 'prebuilds', platform))
    expect(file).toMatch(/^octavo(\.glibc|\.musl)?\.node$/)
    expect(others).toEqual([])
    expect(existsSync(join(root, 'build/Release/octavo.node'))).toBe(true)
  })

  test('installs and generates where there is no compiler', () => {
    for (const tool of ['cc', 'c++', 'gcc', 'g++', 'clang', 'make', 'python3']) {
      expect(attempt(tool, ['--version'], { env: noCompiler }).error).toMatchObject({
        code: 'ENOENT',
      })
    }
    installInto(folder, packWithPrebuild(), { env: noCompiler })
    const installed = join(folder, 'node_modules/octavo')
    expect(existsSync(join(installed, 'build'))).toBe(false)
    writeFileSync(
      join(folder, 'generate.mjs'),
      `import { LLMEngine, EngineError } from 'octavo'\n${GENERATE}`,
    )
    const output = succeed(process.execPath, ['generate.mjs'], { cwd: folder, env: noCompiler })
    expect(JSON.parse(output)).toMatchObject({ tokens: 8 })
  })

  test('would not have installed without it', () => {
    const bare = join(folder, 'bare')
    mkdirSync(bare)
    expect(() => installInto(bare, pack(bare), { env: noCompiler })).toThrow(/gyp|compil/i)
  })
})

/** What the release workflow does: the checkout's package with prebuilds/ filled. */
function packWithPrebuild(): string {
  const tarball = pack(folder)
  succeed('tar', ['-xzf', tarball, '-C', stage])
  rmSync(tarball)
  const unpacked = join(stage, 'package')
  cpSync(join(stage, 'prebuilds'), join(unpacked, 'prebuilds'), { recursive: true })
  return pack(dirname(tarball), unpacked)
}
