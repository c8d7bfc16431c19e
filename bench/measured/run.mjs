// Bundles a TypeScript file of bench/ and runs it against the compiled library in dist/.
import { basename, dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '../..')

/** Imports of lib/ stay imports: of dist/, where the addon and models/demo are found. */
const compiledLibrary = {
  name: 'compiled-library',
  setup({ onResolve }) {
    onResolve({ filter: /\/lib\/.*\.js$/ }, ({ path }) => ({
      path: pathToFileURL(join(root, path.replace(/^.*?\/lib\//, 'dist/'))).href,
      external: true,
    }))
  },
}

/** What a TypeScript file exports. */
export async function load(path) {
  const outfile = join(root, 'build-bench/measured', `${basename(path, '.ts')}.mjs`)
  await build({
    entryPoints: [path],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'warning',
    plugins: [compiledLibrary],
  })
  return import(pathToFileURL(outfile).href)
}

/** Runs a file of this folder. */
export async function run(name) {
  await load(join(here, `${name}.ts`))
}
