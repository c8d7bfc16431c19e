import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { EngineError } from '../errors.js'
import { isCheckpointComplete } from './checkpoint.js'
import { isFile } from './files.js'
import { chooseGguf, ggufMatches, ggufParts, wholeGgufModels } from './gguf-choice.js'
import { downloadFiles, type Repository } from './hub.js'
import { HubLookup, type HubOptions } from './hub-lookup.js'
import type { HubName } from './hub-name.js'
import { checkFormat, type ModelPlace, type WeightFormat } from './model-place.js'

export interface LocateOptions extends HubOptions {
  /** The model's tensors are wanted; false where its config is enough. Default true. */
  readonly weights?: boolean
  /** Kind of weight files. Default auto: safetensors where there are any. */
  readonly format?: WeightFormat | 'auto'
}

/** Files that a folder of safetensors needs. Mistral's repositories hold their weights a second time as `consolidated`. */
const FOLDER_FILE = /^(?!consolidated)([\w.-]+\.(json|jinja|safetensors)|merges\.txt)$/

/** What the cache has of a repository. */
interface Cached {
  readonly snapshot: string
  readonly hasConfig: boolean
  /** GGUF files. */
  readonly models: readonly string[]
}

/**
 * Finds a Hugging Face model in the local cache, and downloads it where it is missing or incomplete. A repository of
 * safetensors and GGUF files loads the former, unless the name wishes for one of the latter or `format` asks for them.
 */
export async function findHubModel(hub: HubName, options: LocateOptions): Promise<ModelPlace> {
  const lookup = new HubLookup(hub, options)
  if (hub.wish !== null) checkFormat(hub.name, 'gguf', options.format)
  const cached = await readCached(lookup)
  const found = cached && (await findIn(cached, hub, options))
  // A config.json beside a GGUF file: the repository may have safetensors.
  const mayDiffer = found?.format === 'gguf' && cached?.hasConfig && !wantsGguf(hub, options)
  if (found && !(mayDiffer && lookup.mayDownload)) return found
  let repository: Repository
  try {
    repository = await lookup.repository(described(cached, hub, options))
  } catch (error) {
    if (found && error instanceof EngineError) return found
    throw error
  }
  return fetchModel(repository, hub, options, found)
}

async function readCached(lookup: HubLookup): Promise<Cached | null> {
  const snapshot = await lookup.snapshot()
  if (snapshot === null) return null
  const names = (await readdir(snapshot, { recursive: true })).filter((name) =>
    name.endsWith('.gguf'),
  )
  const there = await Promise.all(names.map((name) => isFile(join(snapshot, name))))
  const paths = names.filter((_, i) => there[i]).map((path) => path.replaceAll('\\', '/'))
  const hasConfig = await isFile(join(snapshot, 'config.json'))
  return { snapshot, hasConfig, models: wholeGgufModels(paths) }
}

async function findIn(
  { snapshot, hasConfig, models }: Cached,
  hub: HubName,
  options: LocateOptions,
): Promise<ModelPlace | null> {
  if (hasConfig && !wantsGguf(hub, options)) {
    const enough = options.weights === false && models.length === 0
    if (enough || (await isCheckpointComplete(snapshot)))
      return { path: snapshot, format: 'safetensors' }
  }
  if (options.format === 'safetensors') return null
  const [model, ...others] = ggufMatches(models, hub.wish ?? {})
  if (model === undefined || others.length > 0) return null
  return { path: join(snapshot, model), format: 'gguf' }
}

/** Fetches what is meant of a repository, unless it is a GGUF file and the cache has one that serves. */
async function fetchModel(
  repository: Repository,
  hub: HubName,
  options: LocateOptions,
  cached: ModelPlace | null,
): Promise<ModelPlace> {
  const paths = [...repository.files.keys()]
  const folder = paths.filter((path) => FOLDER_FILE.test(path))
  const texts = folder.filter((path) => !path.endsWith('.safetensors'))
  const hasTensors = texts.length < folder.length
  const models = wholeGgufModels(paths)
  const takesFolder = models.length === 0 || (hasTensors && options.format !== 'gguf')
  const format = hub.wish === null && takesFolder ? 'safetensors' : 'gguf'
  checkFormat(hub.id, format, options.format)
  if (format === 'safetensors') {
    const files = options.weights === false ? texts : folder
    return { path: await downloadFiles(repository, files), format }
  }
  if (cached) return cached
  const model = chooseGguf(hub.id, models, hub.wish ?? {})
  // In the cache it says that there are tensors too.
  const config = hasTensors ? texts.filter((path) => path === 'config.json') : []
  const files = [...ggufParts(model), ...config]
  return { path: join(await downloadFiles(repository, files), model), format }
}

function wantsGguf({ wish }: HubName, { format }: LocateOptions): boolean {
  return wish !== null || format === 'gguf'
}

function described(cached: Cached | null, hub: HubName, options: LocateOptions): string {
  if (cached === null) return 'no snapshot'
  const { snapshot, models } = cached
  if (models.length > 0) return `only ${models.join(', ')}`
  const lacks = wantsGguf(hub, options) ? 'no GGUF file in' : 'an incomplete'
  return `${lacks} snapshot ${snapshot}`
}
