// Makes a checkout ready to run: installs, compiles the addon and TypeScript, each only if it must.
import { join } from 'node:path'
import { changedAt } from './lib/freshness.mjs'
import { root, runQuietly } from './lib/run.mjs'

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 12)) {
  console.error(`Octavo needs Node 20.12 or newer; this is ${process.version}.`)
  process.exit(1)
}

const installed = join(root, 'node_modules/.package-lock.json') // npm writes it last
if (changedAt(installed) < changedAt(join(root, 'package-lock.json'))) {
  // Without install scripts, because the addon is compiled below and nothing else needs one.
  const shell = process.platform === 'win32'
  runQuietly('Installing packages', 'npm', ['ci', '--ignore-scripts'], { shell })
}

const { buildNative, nativeIsStale } = await import('./lib/native.mjs')
if (nativeIsStale()) buildNative()

const { buildJavaScript, javascriptIsStale } = await import('./lib/javascript.mjs')
if (javascriptIsStale()) await buildJavaScript()
