// Bundles one TypeScript file of this folder and runs it against the compiled library in dist/.
import { dirname, join } from 'node:path'
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

export async function run(name) {
  const outfile = join(root, 'build-bench/measured', `${name}.mjs`)
  await build({
    entryPoints: [join(here, `${name}.ts`)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'warning',
    plugins: [compiledLibrary],
  })
  await import(pathToFileURL(outfile).href)
}
