// node scripts/prebuild.mjs [OUT]      Compiles OUT/prebuilds/PLATFORM-ARCH/octavo.*.node; OUT is the checkout by default.
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { nodeHeaders } from './lib/native.mjs'
import { root, runQuietly } from './lib/run.mjs'

const out = resolve(process.argv[2] ?? root)

// prebuildify moves what it compiled; from a folder of its own, so that build/ keeps its addon.
const stage = join(root, 'build-prebuild')
rmSync(stage, { recursive: true, force: true })
mkdirSync(stage)
for (const path of ['package.json', 'binding.gyp', 'csrc']) {
  cpSync(join(root, path), join(stage, path), { recursive: true })
}

const prebuildify = createRequire(import.meta.url).resolve('prebuildify/bin.js')
const args = ['--napi', '--strip', '--target', process.versions.node, '--cwd', stage, '--out', out]
if (process.platform === 'linux') args.push('--tag-libc')
const headers = nodeHeaders()
const env = { ...process.env, JOBS: 'max', ...(headers && { npm_config_nodedir: headers }) }
runQuietly('Compiling a prebuild', process.execPath, [prebuildify, ...args], { env })
rmSync(stage, { recursive: true })
