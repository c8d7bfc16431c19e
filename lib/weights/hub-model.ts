import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { outOfRange } from '../check.js'
import { EngineError } from '../errors.js'
import { isCheckpointComplete } from './checkpoint.js'
import { isFile } from './files.js'
import { chooseGguf, ggufMatches, ggufParts, wholeGgufModels } from './gguf-choice.js'
import { cachedSnapshot, hubCache, repositoryFolder } from './hub-cache.js'
import { downloadModel, type DownloadProgress } from './hub.js'
import { notHere, type HubName } from './hub-name.js'

export interface LocateOptions {
  /** Branch, tag or commit of a Hugging Face id. Default `main`. */
  readonly revision?: string
  /** Download a Hugging Face id that the cache lacks. Default true, unless HF_HUB_OFFLINE is on. */
  readonly download?: boolean
  /** The model's tensors are wanted; false where its config is enough. Default true. */
  readonly weights?: boolean
  /** Told of a download's progress. */
  readonly onProgress?: (progress: DownloadProgress) => void
  /** Ends a download, which can go on later. */
  readonly signal?: AbortSignal
}

/** Names that git allows and that stay within the cache as a path: no `..`, no empty part. */
const REVISION = /^(?!.*\.\.)\w[\w.+@=-]*(\/\w[\w.+@=-]*)*$/
/** Files that a folder of safetensors needs. Mistral's repositories hold their weights a second time as `consolidated`. */
const FOLDER_FILE = /^(?!consolidated)([\w.-]+\.(json|jinja|safetensors)|merges\.txt)$/

/**
 * The path of a Hugging Face model: its snapshot's folder, or the GGUF file in there. It is looked for in the local
 * cache, and downloaded where it is missing or incomplete. A repository of both loads its safetensors, unless
 * the name wishes for a GGUF file.
 */
export async function findHubModel(hub: HubName, options: LocateOptions): Promise<string> {
  const { revision = 'main', download = !isOffline(), weights = true } = options
  if (!REVISION.test(revision)) {
    throw outOfRange('revision', 'the name of a branch, a tag or a commit', revision)
  }
  const cache = hubCache()
  const cached = await cachedSnapshot(repositoryFolder(cache, hub.id), revision)
  const found = cached && (await findIn(cached, hub, { weights, mayLack: download }))
  if (found) return found
  if (!download) throw await notCached(hub, cached, { ...options, revision, cache })
  let model = ''
  const select = (paths: readonly string[]) => {
    const wanted = wantedFiles(hub, paths, weights)
    model = wanted.model
    return wanted.files
  }
  return join(await downloadModel(hub, { ...options, revision, cache, select }), model)
}

interface Search {
  readonly weights: boolean
  /** The snapshot may lack files that the repository has. */
  readonly mayLack: boolean
}

async function findIn(snapshot: string, { wish }: HubName, search: Search): Promise<string | null> {
  const models = await cachedModels(snapshot)
  if (wish === null && (await isFile(join(snapshot, 'config.json')))) {
    if (await isCheckpointComplete(snapshot)) return snapshot
    if (!search.weights && models.length === 0) return snapshot
    // Its tensors may be what is missing.
    if (search.mayLack) return null
  }
  const [model, ...others] = ggufMatches(models, wish ?? {})
  return model === undefined || others.length > 0 ? null : join(snapshot, model)
}

async function cachedModels(snapshot: string): Promise<readonly string[]> {
  const names = (await readdir(snapshot, { recursive: true })).filter((name) =>
    name.endsWith('.gguf'),
  )
  const there = await Promise.all(names.map((name) => isFile(join(snapshot, name))))
  const paths = names.filter((_, i) => there[i])
  return wholeGgufModels(paths.map((path) => path.replaceAll('\\', '/')))
}

/** The GGUF file that is meant, none for the folder, and the files to fetch of a repository's. */
function wantedFiles({ id, wish }: HubName, paths: readonly string[], weights: boolean) {
  const folder = paths.filter((path) => FOLDER_FILE.test(path))
  const texts = folder.filter((path) => !path.endsWith('.safetensors'))
  const hasTensors = texts.length < folder.length
  const models = wholeGgufModels(paths)
  if (wish === null && (hasTensors || models.length === 0))
    return { model: '', files: weights ? folder : texts }
  const model = chooseGguf(id, models, wish ?? {})
  // In the cache it says that there are tensors too.
  const config = hasTensors ? texts.filter((path) => path === 'config.json') : []
  return { model, files: [...ggufParts(model), ...config] }
}

/** As huggingface_hub reads it. */
function isOffline(): boolean {
  return /^(1|on|yes|true)$/i.test(process.env.HF_HUB_OFFLINE ?? '')
}

async function notCached(
  hub: HubName,
  snapshot: string | null,
  { cache, revision, download }: LocateOptions & { readonly cache: string },
): Promise<EngineError> {
  const models = snapshot === null ? [] : await cachedModels(snapshot)
  const partly =
    models.length > 0 ? `only ${models.join(', ')}` : `an incomplete snapshot ${snapshot}`
  const found = snapshot === null ? 'no snapshot' : partly
  const cause = download === false ? 'without localFilesOnly' : 'without HF_HUB_OFFLINE'
  return new EngineError(
    'model_not_found',
    `${notHere(hub)}, and the Hugging Face cache ${cache} has ${found} of revision ${revision}; ` +
      `${cause} it is downloaded, or name a folder`,
  )
}
