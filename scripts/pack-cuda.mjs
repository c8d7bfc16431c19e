// node scripts/pack-cuda.mjs [--build FOLDER] [--out FOLDER]      Packs the CUDA addon as the npm package octavo-cuda.
//
// Takes the addon of `npm run build:cuda`. OUT/octavo-cuda becomes the package's folder, OUT/octavo-cuda-VERSION.tgz
// what npm publishes; OUT is build-cuda-package by default. prebuildify only runs node-gyp, so its layout is made here.
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { root } from './lib/run.mjs'

const { values: options } = parseArgs({
  options: { build: { type: 'string' }, out: { type: 'string' } },
})
const out = resolve(root, options.out ?? 'build-cuda-package')
const addon = resolve(root, options.build ?? 'build-cuda', 'Release/octavo.node')
if (!existsSync(addon)) fail(`${addon} is not there; \`npm run build:cuda\` makes it`)

const octavo = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const name = 'octavo-cuda' // lib/native/addon.ts looks for it
const libc = process.platform === 'linux' ? libcOfThisNode() : null
const folder = join(out, name)
rmSync(folder, { recursive: true, force: true })
const prebuilds = join(folder, 'prebuilds', `${process.platform}-${process.arch}`)
mkdirSync(prebuilds, { recursive: true })

const packed = join(prebuilds, libc === null ? 'octavo.node' : `octavo.${libc}.node`)
cpSync(addon, packed)
if (process.platform !== 'win32') run('strip', [packed])
cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'))
writeFileSync(join(folder, 'README.md'), readme())
writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest(), null, 2)}\n`)
const [{ filename, size }] = JSON.parse(
  run('npm', ['pack', '--json', '--pack-destination', out], { cwd: folder }),
)
const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`
console.log(
  `${join(out, filename)}: ${mebibytes(size)}; its addon: ${mebibytes(statSync(packed).size)}`,
)

function manifest() {
  const { version, license, engines } = octavo
  return {
    name,
    version,
    description: 'The CUDA backend of octavo, compiled',
    license,
    engines,
    os: [process.platform],
    cpu: [process.arch],
    ...(libc !== null && { libc: [libc] }),
    main: 'package.json',
    files: ['prebuilds'],
    peerDependencies: { octavo: version },
  }
}

function readme() {
  return (
    `# ${name}\n\nThe addon of [octavo](https://www.npmjs.com/package/octavo) with its CUDA backend. Install it beside octavo,\n` +
    `of the same version; octavo finds it by itself. It needs an NVIDIA driver for CUDA 13 or later;\n` +
    `without one octavo computes on the CPU.\n`
  )
}

function libcOfThisNode() {
  return process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl'
}

function run(program, args, options) {
  const { status, error, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    ...options,
  })
  if (error || status !== 0) fail(`${program} ${args.join(' ')}: ${error?.message ?? stderr}`)
  return stdout
}

function fail(message) {
  console.error(message)
  process.exit(1)
}
