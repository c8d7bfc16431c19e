import { readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkText } from '../check.js'
import { outOfRange } from '../check.js'
import { EngineError } from '../errors.js'
import { isCheckpointComplete } from './checkpoint.js'
import { ifPresent, isFile, readJson } from './files.js'
import { cachedSnapshot, hubCache, repositoryFolder } from './hub-cache.js'
import { downloadModel, type DownloadProgress } from './hub.js'

/** A model's folder and its configs, parsed as JSON but otherwise unread. */
export interface ModelFolder {
  /** As the caller named it: `demo`, a path or a Hugging Face id. */
  readonly name: string
  /** Absolute. */
  readonly path: string
  readonly config: unknown
  /** null where the folder has none. */
  readonly generationConfig: unknown
}

export interface LocateOptions {
  /** Branch, tag or commit of a Hugging Face id. Default `main`. */
  readonly revision?: string
  /** Download a Hugging Face id that the cache lacks. Default true, unless HF_HUB_OFFLINE is on. */
  readonly download?: boolean
  /** The model's tensors are wanted; false where its config is enough. Default true. */
  readonly weights?: boolean
  /** Told of a download's progress. */
  readonly onProgress?: (progress: DownloadProgress) => void
}

/** Names that git allows and that stay within the cache as a path: no `..`, no empty part. */
const REVISION = /^(?!.*\.\.)\w[\w.+@=-]*(\/\w[\w.+@=-]*)*$/
const HUGGING_FACE_ID = /^[\w][\w.-]*\/[\w][\w.-]*$/
const DEMO = fileURLToPath(new URL('../../models/demo', import.meta.url))

/**
 * Finds a model and reads its small files. `name` is `demo`, a folder, or a Hugging Face id, which is
 * looked for in the local cache and then downloaded. Throws EngineError `model_not_found` saying
 * what was looked for and what to do, `invalid_file` for a file that is no JSON, and
 * `not_supported` for a .gguf file; TypeError or RangeError for a name that is no text.
 *
 * @example
 * const folder = await locateModel('HuggingFaceTB/SmolLM2-135M-Instruct')
 * const config = readModelConfig(folder.config, join(folder.path, 'config.json'))
 */
export async function locateModel(name: string, options: LocateOptions = {}): Promise<ModelFolder> {
  checkText('model', name)
  return readFolder(name, await findFolder(name, options))
}

async function findFolder(name: string, options: LocateOptions): Promise<string> {
  if (name === 'demo') return DEMO
  const path = resolve(name)
  const stats = await ifPresent(path, (path) => stat(path))
  if (stats?.isDirectory()) return path
  if (name.endsWith('.gguf'))
    throw new EngineError('not_supported', `${name}: GGUF files are not supported yet`)
  if (stats) throw notFound(`${name} is a file; expected a folder with config.json`)
  if (HUGGING_FACE_ID.test(name)) return findSnapshot(name, options)
  throw notFound(
    `${name}: there is no folder ${path}, and it is no Hugging Face id (organisation/name)`,
  )
}

/** The snapshot in the local cache, downloaded first where it is missing or incomplete. */
async function findSnapshot(id: string, options: LocateOptions): Promise<string> {
  const { revision = 'main', download = !isOffline(), weights = true } = options
  if (!REVISION.test(revision)) {
    throw outOfRange('revision', 'the name of a branch, a tag or a commit', revision)
  }
  const cache = hubCache()
  const snapshot = await cachedSnapshot(repositoryFolder(cache, id), revision)
  if (snapshot && (await isUsable(snapshot, weights))) return snapshot
  if (download) return downloadModel(id, { ...options, revision, weights, cache })
  const found = snapshot ? `an incomplete snapshot ${snapshot}` : 'no snapshot'
  const cause = options.download === false ? 'without localFilesOnly' : 'without HF_HUB_OFFLINE'
  throw notFound(
    `${id}: there is no folder of this name, and the Hugging Face cache ${cache} has ${found} of ` +
      `revision ${revision}; ${cause} it is downloaded, or name a folder`,
  )
}

/** As huggingface_hub reads it. */
function isOffline(): boolean {
  return /^(1|on|yes|true)$/i.test(process.env.HF_HUB_OFFLINE ?? '')
}

async function isUsable(snapshot: string, weights: boolean): Promise<boolean> {
  if (!(await isFile(join(snapshot, 'config.json')))) return false
  return !weights || isCheckpointComplete(snapshot)
}

async function readFolder(name: string, path: string): Promise<ModelFolder> {
  const json = (file: string) => ifPresent(join(path, file), readJson)
  const config = await json('config.json')
  if (config === null)
    throw notFound(`${name}: folder ${path} has no config.json${await holding(path)}`)
  const generationConfig = await json('generation_config.json')
  return { name, path, config, generationConfig }
}

async function holding(path: string): Promise<string> {
  const names = (await readdir(path)).sort()
  return names.length === 0 ? '; it is empty' : `; it holds ${names.slice(0, 3).join(', ')}`
}

function notFound(message: string): EngineError {
  return new EngineError('model_not_found', message)
}
