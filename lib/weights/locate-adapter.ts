import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { EngineError } from '../errors.js'
import { ifPresent, isFile } from './files.js'
import { HubLookup, type HubOptions } from './hub-lookup.js'
import { parseHubName, type HubName } from './hub-name.js'
import { downloadFiles } from './hub.js'
import { ADAPTER_FILES, checkAdapterFiles } from './lora-adapter.js'

/**
 * The folder of an adapter: a folder as it is named, or that of a Hugging Face id, which is looked for in the local
 * cache and then downloaded. Throws EngineError `model_not_found` saying what was looked for and what to do, and
 * `not_supported` for an adapter that is a GGUF file.
 *
 * @example
 * const adapter = await readLoraAdapter(await locateAdapter('organisation/adapter'))
 */
export async function locateAdapter(name: string, options: HubOptions = {}): Promise<string> {
  const path = resolve(name)
  const stats = await ifPresent(path, (path) => stat(path))
  if (stats?.isDirectory()) return path
  const wanted = `a folder with ${ADAPTER_FILES.join(' and ')}`
  const hub = parseHubName(name)
  if (name.endsWith('.gguf') || hub?.wish)
    throw new EngineError(
      'not_supported',
      `${name}: adapters in GGUF are not supported, expected ${wanted}`,
    )
  if (stats) throw notFound(`${name} is a file; expected ${wanted}`)
  if (hub) return findHubAdapter(hub, options)
  throw notFound(
    `${name}: there is no folder ${path}, and it is no Hugging Face id (organisation/name)`,
  )
}

async function findHubAdapter(hub: HubName, options: HubOptions): Promise<string> {
  const lookup = new HubLookup(hub, options)
  const snapshot = await lookup.snapshot()
  const lacking = snapshot === null ? undefined : await lackedBy(snapshot)
  if (snapshot !== null && lacking === undefined) return snapshot
  const has = snapshot === null ? 'no snapshot' : `no ${lacking} in snapshot ${snapshot}`
  const repository = await lookup.repository(has)
  checkAdapterFiles(hub.id, [...repository.files.keys()])
  return downloadFiles(repository, ADAPTER_FILES)
}

async function lackedBy(folder: string): Promise<string | undefined> {
  for (const file of ADAPTER_FILES) if (!(await isFile(join(folder, file)))) return file
  return undefined
}

function notFound(message: string): EngineError {
  return new EngineError('model_not_found', message)
}
