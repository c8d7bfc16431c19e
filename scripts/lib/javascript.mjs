import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, sep } from 'node:path'
import { isStale } from './freshness.mjs'
import { root, runQuietly } from './run.mjs'

const lib = join(root, 'lib')
const dist = join(root, 'dist')
const commonJs = join(dist, 'cjs')
const finished = join(commonJs, 'package.json') // written last
const sources = [lib, join(root, 'tsconfig.json')]
/** Files that modules read, such as a page's. */
const isAsset = (path) => !path.endsWith('.ts')

export function javascriptIsStale() {
  return isStale(finished, sources)
}

/** Compiles lib/ into dist/ (ES modules, declarations) and dist/cjs/ (the same modules as CommonJS). */
export async function buildJavaScript() {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
  runQuietly('Compiling TypeScript', process.execPath, [tsc, '-p', 'tsconfig.json'])
  const files = listFiles(lib)
  const assets = files.filter(isAsset)
  const modules = files.filter((path) => !isAsset(path)).map((path) => path.slice(0, -'.ts'.length))
  removeLeftOvers(new Set([...modules, ...assets.map((path) => path.replace(/\.js$/, ''))]))
  for (const path of assets) copyFileSync(join(lib, path), join(dist, path))
  await buildCommonJs(modules.filter((module) => !module.startsWith('cli/')))
}

/**
 * One CommonJS file a module, not a bundle: every entry point then shares one EngineError.
 * import.meta.url keeps naming the ES module, so that workers and package files are found beside it.
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
    plugins: [{ name: 'import-meta-url', setup: replaceImportMetaUrl }],
  })
  for (const module of modules) {
    const target = join(commonJs, `${module}.d.ts`)
    mkdirSync(dirname(target), { recursive: true })
    copyFileSync(join(dist, `${module}.d.ts`), target)
  }
  writeFileSync(finished, '{ "type": "commonjs" }\n')
}

function replaceImportMetaUrl({ onLoad }) {
  onLoad({ filter: /\.ts$/ }, ({ path }) => {
    const module = slashed(path.slice(lib.length + 1)).replace(/\.ts$/, '.js')
    const up = '../'.repeat(module.split('/').length)
    // A module may have a `require` of its own, made by createRequire.
    const twin = `module.require('node:path').join(__dirname, '${up}${module}')`
    const url = `module.require('node:url').pathToFileURL(${twin}).href`
    const contents = readFileSync(path, 'utf8').replaceAll('import.meta.url', url)
    return { contents, loader: 'ts' }
  })
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
