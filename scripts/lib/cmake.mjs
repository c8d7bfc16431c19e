import { utimesSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { nodeHeaders } from './native.mjs'
import { root, runQuietly } from './run.mjs'

/** Builds octavo.node and octavo-replay in `folder` with these CMake settings. Gives the addon's path. */
export function buildWithCMake(title, folder, settings) {
  const cmakeJs = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js')
  const flags = Object.entries(settings).map(([name, value]) => `--CD${name}=${value}`)
  const args = ['build', '--out', folder, '--parallel', String(availableParallelism()), ...flags]
  const headers = nodeHeaders()
  const env = { ...process.env, ...(headers && { npm_config_nodedir: headers }) }
  runQuietly(title, process.execPath, [cmakeJs, ...args], { env })
  const addon = join(root, folder, 'Release/octavo.node')
  const now = new Date()
  utimesSync(addon, now, now) // The linker leaves the file alone if no object changed.
  return addon
}
