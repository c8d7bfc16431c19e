import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { ifPresent } from './files.js'

// The layout that every Hugging Face tool shares: models--ORGANISATION--NAME/ holds refs/REVISION
// (a commit), snapshots/COMMIT/ (links) and blobs/ (the contents by digest).

/** The Hugging Face cache: HF_HUB_CACHE, or `hub` in HF_HOME, or in the user's cache folder. */
export function hubCache(env: NodeJS.ProcessEnv = process.env): string {
  const userCache = env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
  return env.HF_HUB_CACHE ?? join(env.HF_HOME ?? join(userCache, 'huggingface'), 'hub')
}

/** Where a model lies in a cache. */
export function repositoryFolder(cache: string, id: string): string {
  return join(cache, `models--${id.replaceAll('/', '--')}`)
}

/** The folder of a branch, tag or commit; null where the cache has none. */
export async function cachedSnapshot(repository: string, revision: string): Promise<string | null> {
  const ref = await ifPresent(join(repository, 'refs', revision), (path) => readFile(path, 'utf8'))
  const snapshot = join(repository, 'snapshots', ref?.trim() ?? revision)
  return (await ifPresent(snapshot, (path) => stat(path))) && snapshot
}
