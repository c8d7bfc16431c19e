// The paper's figures from Octavo's own scheduler and block manager: node bench/paper/main.mjs [--quick]
// Bundles the TypeScript of this folder with that of lib/scheduling and runs it.
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const outfile = join(here, '../../build-paper/paper.mjs')

await build({
  entryPoints: [join(here, 'paper.ts')],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  external: ['@resvg/resvg-js'],
  logLevel: 'warning',
})
await import(pathToFileURL(outfile).href)
