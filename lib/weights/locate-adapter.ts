import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { EngineError } from '../errors.js'
import { ifPresent, isFile } from './files.js'
import { HubLookup, type HubOptions } from './hub-lookup.js'
import { parseHubName, type HubName } from './hub-name.js'
import { downloadFiles } from './hub.js'
import { readGgufAdapter, type AdapterHeads } from './gguf-adapter.js'
import { ADAPTER_FILES, checkAdapterFiles, readLoraAdapter } from './lora-adapter.js'
import type { LoraAdapter } from './lora-modules.js'

/**
 * The place of an adapter: a folder or a GGUF file as it is named, or the folder of a Hugging Face id, which is looked for
 * in the local cache and then downloaded. Throws EngineError `model_not_found` saying what was looked for and what to
 * do, and `not_supported` for a GGUF file on the hub.
 *
 * @example
 * const folder = await locateAdapter('organisation/adapter')
 */
export async function locateAdapter(name: string, options: HubOptions = {}): Promise<string> {
  const path = resolve(name)
  const stats = await ifPresent(path, (path) => stat(path))
  const isGguf = name.endsWith('.gguf')
  if (stats?.isDirectory() || (stats && isGguf)) return path
  const wanted = `a folder with ${ADAPTER_FILES.join(' and ')}, or a .gguf file`
  const hub = parseHubName(name)
  if (hub?.wish)
    throw new EngineError(
      'not_supported',
      `${name}: adapters in GGUF are not downloaded, expected ${wanted}`,
    )
  if (stats) throw notFound(`${name} is a file; expected ${wanted}`)
  if (hub) return findHubAdapter(hub, options)
  throw notFound(
    `${name}: there is no ${isGguf ? 'file' : 'folder'} ${path}, and it is no Hugging Face id (organisation/name)`,
  )
}

interface FindOptions extends HubOptions {
  /** Of the base model; who only wants to know of an adapter may leave them out. */
  readonly heads?: AdapterHeads
}

/**
 * Finds an adapter and reads it. Throws as `locateAdapter`, `readLoraAdapter` and `readGgufAdapter` do.
 *
 * @example
 * const { rank } = await findAdapter('adapters/sql')
 */
export async function findAdapter(
  name: string,
  { heads = { q: 0, k: 0 }, ...options }: FindOptions = {},
): Promise<LoraAdapter> {
  const path = await locateAdapter(name, options)
  return path.endsWith('.gguf') ? readGgufAdapter(path, heads) : readLoraAdapter(path)
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
