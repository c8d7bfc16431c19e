import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, sep } from 'node:path'
import { isStale } from './freshness.mjs'
import { root, runQuietly } from './run.mjs'

const lib = join(root, 'lib')
const dist = join(root, 'dist')
const commonJs = join(dist, 'cjs')
const bundles = join(dist, 'esm')
const finished = join(commonJs, 'package.json') // written last
const sources = [lib, join(root, 'tsconfig.json'), join(root, 'scripts/lib/javascript.mjs')]
/** Files that modules read, such as a page's. */
const isAsset = (path) => !path.endsWith('.ts')

export function javascriptIsStale() {
  return isStale(finished, sources)
}

/** What package.json exports. */
const ENTRIES = { index: 'index', server: 'server/index', ai: 'ai/index', worker: 'worker/index' }

/**
 * Compiles lib/ into dist/ (ES modules, declarations), dist/esm/ (what the package exports, in bundles) and dist/cjs/
 * (the modules as CommonJS).
 */
export async function buildJavaScript() {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
  runQuietly('Compiling TypeScript', process.execPath, [tsc, '-p', 'tsconfig.json'])
  const files = listFiles(lib)
  const assets = files.filter(isAsset)
  const modules = files.filter((path) => !isAsset(path)).map((path) => path.slice(0, -'.ts'.length))
  removeLeftOvers(new Set([...modules, ...assets.map((path) => path.replace(/\.js$/, ''))]))
  for (const path of assets) copyFileSync(join(lib, path), join(dist, path))
  await buildBundles()
  await buildCommonJs(modules.filter((module) => !module.startsWith('cli/')))
}

/**
 * The entry points, which share what several of them hold, and so one EngineError: a few files load in a third of the time
 * of two hundred. Threads and package files are found beside the modules.
 */
async function buildBundles() {
  const { build } = await import('esbuild')
  rmSync(bundles, { recursive: true, force: true })
  await build({
    entryPoints: Object.fromEntries(
      Object.entries(ENTRIES).map(([name, module]) => [name, join(lib, `${module}.ts`)]),
    ),
    outdir: bundles,
    bundle: true,
    splitting: true,
    packages: 'external',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    plugins: [importMetaUrl((module) => `new URL('../${module}', import.meta.url).href`)],
  })
}

/**
 * One CommonJS file a module, not a bundle: every entry point then shares one EngineError, as CommonJS has no bundles that
 * share parts.
 */
async function buildCommonJs(modules) {
  const { build } = await import('esbuild')
  await build({
    entryPoints: modules.map((module) => join(lib, `${module}.ts`)),
    outdir: commonJs,
    outbase: lib,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    plugins: [importMetaUrl(commonJsUrl)],
  })
  for (const module of modules) {
    const target = join(commonJs, `${module}.d.ts`)
    mkdirSync(dirname(target), { recursive: true })
    copyFileSync(join(dist, `${module}.d.ts`), target)
  }
  writeFileSync(finished, '{ "type": "commonjs" }\n')
}

/** `import.meta.url` goes on naming the ES module: `urlOf` writes that for a module such as text/tokenizer.js. */
function importMetaUrl(urlOf) {
  const setup = ({ onLoad }) => {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const module = slashed(path.slice(lib.length + 1)).replace(/\.ts$/, '.js')
      const contents = readFileSync(path, 'utf8').replaceAll('import.meta.url', urlOf(module))
      return { contents, loader: 'ts' }
    })
  }
  return { name: 'import-meta-url', setup }
}

function commonJsUrl(module) {
  const up = '../'.repeat(module.split('/').length)
  // A module may have a `require` of its own, made by createRequire.
  const twin = `module.require('node:path').join(__dirname, '${up}${module}')`
  return `module.require('node:url').pathToFileURL(${twin}).href`
}

/** Removes from dist/ what an earlier build made of a module that is gone. */
function removeLeftOvers(modules) {
  for (const path of listFiles(dist)) {
    const [, module] = /^(?:cjs\/)?(.+?)(?:\.d)?\.[cm]?[jt]s(?:\.map)?$/.exec(path) ?? []
    if (module !== undefined && !modules.has(module)) rmSync(join(dist, path))
  }
}

function listFiles(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => slashed(join(entry.path, entry.name).slice(folder.length + 1)))
}

function slashed(path) {
  return path.replaceAll(sep, '/')
}
