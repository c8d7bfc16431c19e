import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { outOfRange } from '../check.js'
import { EngineError } from '../errors.js'
import { isCheckpointComplete } from './checkpoint.js'
import { isFile } from './files.js'
import { chooseGguf, ggufMatches, ggufParts, wholeGgufModels } from './gguf-choice.js'
import { cachedSnapshot, hubCache, repositoryFolder } from './hub-cache.js'
import { downloadFiles, type DownloadProgress, listRepository } from './hub.js'
import type { HubName } from './hub-name.js'
import { checkFormat, type ModelPlace, type WeightFormat } from './model-place.js'

export interface LocateOptions {
  /** Branch, tag or commit of a Hugging Face id. Default `main`. */
  readonly revision?: string
  /** Download a Hugging Face id that the cache lacks. Default true, unless HF_HUB_OFFLINE is on. */
  readonly download?: boolean
  /** The model's tensors are wanted; false where its config is enough. Default true. */
  readonly weights?: boolean
  /** Kind of weight files. Default auto: safetensors where there are any. */
  readonly format?: WeightFormat | 'auto'
  /** Told of a download's progress. */
  readonly onProgress?: (progress: DownloadProgress) => void
  /** Ends a download, which can go on later. */
  readonly signal?: AbortSignal
}

/** Names that git allows and that stay within the cache as a path: no `..`, no empty part. */
const REVISION = /^(?!.*\.\.)\w[\w.+@=-]*(\/\w[\w.+@=-]*)*$/
/** Files that a folder of safetensors needs. Mistral's repositories hold their weights a second time as `consolidated`. */
const FOLDER_FILE = /^(?!consolidated)([\w.-]+\.(json|jinja|safetensors)|merges\.txt)$/

/** What the cache has of a repository. */
interface Cached {
  readonly snapshot: string
  /** GGUF files. */
  readonly models: readonly string[]
}

/**
 * Finds a Hugging Face model in the local cache, and downloads it where it is missing or incomplete. A repository of
 * both kinds of files loads its safetensors, unless the name wishes for a GGUF file or `format` asks for one.
 */
export async function findHubModel(hub: HubName, options: LocateOptions): Promise<ModelPlace> {
  const { revision = 'main', download = !isOffline() } = options
  if (!REVISION.test(revision)) {
    throw outOfRange('revision', 'the name of a branch, a tag or a commit', revision)
  }
  if (hub.wish !== null) checkFormat(hub.name, 'gguf', options.format)
  const cache = hubCache()
  const cached = await readCached(repositoryFolder(cache, hub.id), revision)
  const found = cached && (await findIn(cached, hub, { ...options, mayLack: download }))
  if (found) return found
  const missing = `${notHere(hub)}, and the Hugging Face cache ${cache} has ${described(cached, hub, options)} of revision ${revision}`
  if (!download) {
    const cause = options.download === false ? 'localFilesOnly' : 'HF_HUB_OFFLINE'
    const advice = `without ${cause} it is downloaded, or name a folder`
    throw new EngineError('model_not_found', `${missing}; ${advice}`)
  }
  const repository = await listRepository(hub.id, { ...options, revision, cache, missing })
  const { model, format, files } = wantedFiles(hub, [...repository.files.keys()], options)
  return { path: join(await downloadFiles(repository, files), model), format }
}

async function readCached(repository: string, revision: string): Promise<Cached | null> {
  const snapshot = await cachedSnapshot(repository, revision)
  if (snapshot === null) return null
  const names = (await readdir(snapshot, { recursive: true })).filter((name) =>
    name.endsWith('.gguf'),
  )
  const there = await Promise.all(names.map((name) => isFile(join(snapshot, name))))
  const paths = names.filter((_, i) => there[i])
  return { snapshot, models: wholeGgufModels(paths.map((path) => path.replaceAll('\\', '/'))) }
}

interface Search extends LocateOptions {
  /** The snapshot may lack files that the repository has. */
  readonly mayLack: boolean
}

async function findIn(
  { snapshot, models }: Cached,
  { wish }: HubName,
  { weights = true, format, mayLack }: Search,
): Promise<ModelPlace | null> {
  if (wish === null && format !== 'gguf' && (await isFile(join(snapshot, 'config.json')))) {
    const enough = !weights && models.length === 0
    if (enough || (await isCheckpointComplete(snapshot)))
      return { path: snapshot, format: 'safetensors' }
    // Its tensors may be what is missing.
    if (mayLack) return null
  }
  if (format === 'safetensors') return null
  const [model, ...others] = ggufMatches(models, wish ?? {})
  if (model === undefined || others.length > 0) return null
  return { path: join(snapshot, model), format: 'gguf' }
}

/** Of a repository's files those to fetch; the GGUF file that is meant, none for the folder. */
function wantedFiles(
  { id, wish }: HubName,
  paths: readonly string[],
  { weights = true, format: wanted }: LocateOptions,
) {
  const folder = paths.filter((path) => FOLDER_FILE.test(path))
  const texts = folder.filter((path) => !path.endsWith('.safetensors'))
  const hasTensors = texts.length < folder.length
  const models = wholeGgufModels(paths)
  const takesFolder = models.length === 0 || (hasTensors && wanted !== 'gguf')
  const format: WeightFormat = wish === null && takesFolder ? 'safetensors' : 'gguf'
  checkFormat(id, format, wanted)
  if (format === 'safetensors') return { format, model: '', files: weights ? folder : texts }
  const model = chooseGguf(id, models, wish ?? {})
  // In the cache it says that there are tensors too.
  const config = hasTensors ? texts.filter((path) => path === 'config.json') : []
  return { format, model, files: [...ggufParts(model), ...config] }
}

/** As huggingface_hub reads it. */
function isOffline(): boolean {
  return /^(1|on|yes|true)$/i.test(process.env.HF_HUB_OFFLINE ?? '')
}

/** A path that was misspelled looks like the name of a model. */
function notHere({ name, wish }: HubName): string {
  return `${name}: there is no ${wish?.file === undefined ? 'folder' : 'file'} of this name`
}

function described(cached: Cached | null, { wish }: HubName, { format }: LocateOptions): string {
  if (cached === null) return 'no snapshot'
  const { snapshot, models } = cached
  if (models.length > 0) return `only ${models.join(', ')}`
  const wantsGguf = wish !== null || format === 'gguf'
  return `${wantsGguf ? 'no GGUF file in' : 'an incomplete'} snapshot ${snapshot}`
}
