import { outOfRange } from '../check.js'
import { EngineError } from '../errors.js'
import { cachedSnapshot, hubCache, repositoryFolder } from './hub-cache.js'
import { listRepository, type DownloadProgress, type Repository } from './hub.js'
import type { HubName } from './hub-name.js'

/** What is wanted of a Hugging Face id, and whether by download. */
export interface HubOptions {
  /** Branch, tag or commit of a Hugging Face id. Default `main`. */
  readonly revision?: string
  /** Download a Hugging Face id that the cache lacks. Default true, unless HF_HUB_OFFLINE is on. */
  readonly download?: boolean
  /** Told of a download's progress. */
  readonly onProgress?: (progress: DownloadProgress) => void
  /** Ends a download, which can go on later. */
  readonly signal?: AbortSignal
}

/** Names that git allows and that stay within the cache as a path: no `..`, no empty part. */
const REVISION = /^(?!.*\.\.)\w[\w.+@=-]*(\/\w[\w.+@=-]*)*$/

/** A Hugging Face id at a revision, in the local cache and on the hub. */
export class HubLookup {
  readonly mayDownload: boolean
  readonly #hub: HubName
  readonly #options: HubOptions
  readonly #cache = hubCache()
  readonly #revision: string

  constructor(hub: HubName, options: HubOptions) {
    const { revision = 'main', download = !isOffline() } = options
    if (!REVISION.test(revision)) {
      throw outOfRange('revision', 'the name of a branch, a tag or a commit', revision)
    }
    this.#hub = hub
    this.#options = options
    this.#revision = revision
    this.mayDownload = download
  }

  /** The folder in the cache; null where there is none. */
  snapshot(): Promise<string | null> {
    return cachedSnapshot(repositoryFolder(this.#cache, this.#hub.id), this.#revision)
  }

  /**
   * The repository on the hub. Throws EngineError `model_not_found` telling what the cache `has` where it must not be
   * asked or gives none.
   */
  async repository(has: string): Promise<Repository> {
    const cache = this.#cache
    const revision = this.#revision
    const missing = `${notHere(this.#hub)}, and the Hugging Face cache ${cache} has ${has} of revision ${revision}`
    if (!this.mayDownload) {
      const cause = this.#options.download === false ? 'localFilesOnly' : 'HF_HUB_OFFLINE'
      const advice = `without ${cause} it is downloaded, or name a folder`
      throw new EngineError('model_not_found', `${missing}; ${advice}`)
    }
    return listRepository(this.#hub.id, { ...this.#options, revision, cache, missing })
  }
}

/** As huggingface_hub reads it. */
function isOffline(): boolean {
  return /^(1|on|yes|true)$/i.test(process.env.HF_HUB_OFFLINE ?? '')
}

/** A path that was misspelled looks like the name of a model. */
function notHere({ name, wish }: HubName): string {
  return `${name}: there is no ${wish?.file === undefined ? 'folder' : 'file'} of this name`
}
