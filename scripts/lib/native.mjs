import { existsSync, utimesSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { isStale } from './freshness.mjs'
import { root, runQuietly } from './run.mjs'

const output = join(root, 'build/Release/octavo.node')
const sources = ['binding.gyp', 'csrc'].map((path) => join(root, path))

export function nativeIsStale() {
  return isStale(output, sources)
}

/** Compiles the addon into build/Release, only what changed since the last time. */
export function buildNative() {
  const nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js')
  const args = [nodeGyp, 'configure', 'build', '--jobs', 'max']
  const headers = nodeHeaders()
  if (headers) args.push(`--nodedir=${headers}`)
  runQuietly('Compiling the addon', process.execPath, args)
  const now = new Date()
  utimesSync(output, now, now) // The linker leaves the file alone if no object changed.
}

/** Where Node's headers are, if that is known: node-gyp downloads them unless it is told. */
export function nodeHeaders() {
  if (process.env.npm_config_nodedir) return process.env.npm_config_nodedir
  const prefix = dirname(dirname(process.execPath))
  return existsSync(join(prefix, 'include/node/node_api.h')) ? prefix : undefined
}
