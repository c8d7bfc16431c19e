import type * as HubModule from '@huggingface/hub'
import { createHash, randomUUID } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { copyFile, mkdir, open, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { Readable } from 'node:stream'
import { EngineError, withCause } from '../errors.js'
import { fileSize, isFile } from './files.js'
import { repositoryFolder } from './hub-cache.js'

type Hub = typeof HubModule

/** How far a download is. */
export interface DownloadProgress {
  /** The file that is being fetched. */
  readonly file: string
  /** Over all files that the model needs; those that the cache had already count as loaded. */
  readonly loadedBytes: number
  readonly totalBytes: number
}

export interface DownloadOptions {
  readonly revision: string
  /** The Hugging Face cache to write to. */
  readonly cache: string
  /** What is not there, the beginning of errors. */
  readonly missing: string
  readonly onProgress?: (progress: DownloadProgress) => void
  readonly signal?: AbortSignal
}

interface RemoteFile {
  readonly path: string
  /** Bytes. */
  readonly size: number
  /** Digest that names the content: SHA-256 of a large file, git's SHA-1 of a small one. */
  readonly digest: string
}

interface Access {
  readonly hubUrl?: string
  readonly accessToken?: string
  readonly fetch: typeof fetch
}

/** A repository at one commit, its files by their paths, and where they go. */
export interface Repository {
  readonly id: string
  readonly commit: string
  readonly access: Access
  readonly files: ReadonlyMap<string, RemoteFile>
  readonly snapshot: string
  readonly blobs: string
  readonly ref: string
  readonly options: DownloadOptions
}

/**
 * Asks the hub for a model's files. HF_ENDPOINT and HF_TOKEN are honoured. Throws EngineError `model_not_found` or
 * `invalid_file`, or the signal's reason.
 */
export async function listRepository(id: string, options: DownloadOptions): Promise<Repository> {
  const { cache, revision, signal } = options
  const access: Access = {
    hubUrl: process.env.HF_ENDPOINT,
    accessToken: process.env.HF_TOKEN,
    fetch: (url, init) => fetch(url, { ...init, signal }),
  }
  return explaining(options, async () => {
    const hub = await importHub(options)
    const commit = await commitOf(hub, id, revision, access)
    const files = await listFiles(hub, id, commit, access)
    const folder = repositoryFolder(cache, id)
    const snapshot = join(folder, 'snapshots', commit)
    const blobs = join(folder, 'blobs')
    const ref = join(folder, 'refs', revision)
    return { id, commit, access, files, snapshot, blobs, ref, options }
  })
}

/**
 * Downloads these files into the Hugging Face cache, in the layout that every Hugging Face tool shares,
 * and returns their snapshot folder. Files that are there already stay; one cut short goes on where it
 * ended; each is checked against its digest and named only when it is whole. Throws as `listRepository` does.
 */
export async function downloadFiles(
  repository: Repository,
  paths: readonly string[],
): Promise<string> {
  const { commit, snapshot, ref, options } = repository
  await explaining(options, async () => {
    await fetchFiles(repository, paths)
    if (commit !== options.revision) await writeRef(ref, commit)
  })
  return snapshot
}

async function importHub({ missing }: DownloadOptions): Promise<Hub> {
  try {
    return await import('@huggingface/hub')
  } catch (cause) {
    const advice = 'npm install @huggingface/hub lets Octavo download it'
    throw new EngineError('model_not_found', `${missing}; ${advice}`, { cause })
  }
}

async function commitOf(hub: Hub, id: string, revision: string, access: Access): Promise<string> {
  const { sha } = await hub.modelInfo({ name: id, revision, additionalFields: ['sha'], ...access })
  if (/^[0-9a-f]{40}$/.test(sha)) return sha
  throw broken(id, `revision ${revision}`, `commit "${sha}"`)
}

async function fetchFiles(repository: Repository, paths: readonly string[]): Promise<void> {
  const { options } = repository
  const files = paths.map((path) => remoteFile(repository, path))
  const totalBytes = files.reduce((sum, file) => sum + file.size, 0)
  let loadedBytes = 0
  await mkdir(repository.blobs, { recursive: true })
  await mkdir(repository.snapshot, { recursive: true })
  for (const file of files) {
    options.signal?.throwIfAborted()
    const report = (bytes: number) => {
      loadedBytes += bytes
      options.onProgress?.({ file: file.path, loadedBytes, totalBytes })
    }
    await fetchFile(repository, file, report)
  }
}

async function listFiles(
  hub: Hub,
  id: string,
  commit: string,
  access: Access,
): Promise<Repository['files']> {
  const files = new Map<string, RemoteFile>()
  const listing = hub.listFiles({ repo: id, revision: commit, recursive: true, ...access })
  for await (const { type, path, size, lfs, oid } of listing)
    if (type === 'file') files.set(path, { path, size, digest: lfs?.oid ?? oid ?? '' })
  return files
}

function remoteFile({ id, files }: Repository, path: string): RemoteFile {
  const file = files.get(path)!
  if (!/^[0-9a-f]{40,64}$/.test(file.digest)) throw broken(id, path, `digest "${file.digest}"`)
  return file
}

async function fetchFile(
  repository: Repository,
  file: RemoteFile,
  report: (bytes: number) => void,
): Promise<void> {
  const blob = join(repository.blobs, file.digest)
  if (await isFile(blob)) report(file.size)
  else
    await fetchBlob(repository, file, report).catch(async (error: unknown) => {
      // Another process that fetches the same file may have been faster with the last steps.
      if (!(await isFile(blob))) throw error
    })
  await link(blob, join(repository.snapshot, file.path))
}

async function fetchBlob(
  repository: Repository,
  file: RemoteFile,
  report: (bytes: number) => void,
): Promise<void> {
  const { id, blobs, options } = repository
  const { signal } = options
  const partial = join(blobs, `${file.digest}.incomplete`)
  const start = (await fileSize(partial)) ?? 0
  const content = await contentOf(repository, file)
  if (!content) throw broken(id, file.path, 'no content')
  report(start)
  if (start < file.size) await write(partial, content, { start, report, signal })
  const digest = await digestOf(partial, file, signal)
  if (digest !== file.digest) {
    await rm(partial)
    throw broken(id, file.path, `a file of digest ${digest} instead of ${file.digest}`)
  }
  await rename(partial, join(blobs, file.digest))
}

async function contentOf({ id, commit, access, options }: Repository, { path }: RemoteFile) {
  const hub = await importHub(options)
  const from = { repo: id, path, revision: commit, ...access }
  const downloadInfo = await hub.fileDownloadInfo(from)
  if (!downloadInfo?.xet) return downloadInfo && hub.downloadFile({ ...from, downloadInfo })
  // Xet's blobs have a better way to fetch of their own; they end their requests with their stream.
  return hub.downloadFile({ ...from, downloadInfo, fetch: undefined })
}

interface WriteOptions {
  /** Bytes that are there. */
  readonly start: number
  readonly report: (bytes: number) => void
  readonly signal: AbortSignal | undefined
}

/**
 * Writes the content from byte `start` on, each byte at its own position: two processes that download
 * the same file into the same place write the same bytes, and neither harms the other.
 */
async function write(
  path: string,
  content: Blob,
  { start, report, signal }: WriteOptions,
): Promise<void> {
  const handle = await open(path, constants.O_WRONLY | constants.O_CREAT)
  const rest = start === 0 ? content : content.slice(start)
  let position = start
  try {
    const chunks = Readable.fromWeb(rest.stream(), { signal }) as AsyncIterable<Uint8Array>
    // Each write is awaited: nothing is written any more once a broken download has been reported.
    for await (const chunk of chunks) {
      for (let done = 0; done < chunk.length;) {
        const { bytesWritten } = await handle.write(chunk, done, undefined, position + done)
        done += bytesWritten
      }
      position += chunk.length
      report(chunk.length)
    }
  } finally {
    await handle.close()
  }
}

/** SHA-256 of the content, or git's SHA-1 of a header and the content. */
async function digestOf(path: string, file: RemoteFile, signal?: AbortSignal): Promise<string> {
  const large = file.digest.length === 64
  const hash = createHash(large ? 'sha256' : 'sha1')
  if (!large) hash.update(`blob ${file.size}\0`)
  for await (const chunk of createReadStream(path, { signal })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/** A relative symbolic link, as the cache's layout has it; a copy where the system allows none. */
async function link(blob: string, name: string): Promise<void> {
  if (await isFile(name)) return
  await mkdir(dirname(name), { recursive: true })
  await rm(name, { force: true })
  try {
    await symlink(relative(dirname(name), blob), name)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EPERM') await copyFile(blob, name)
    else if (code !== 'EEXIST') throw error
  }
}

/** Written last: a revision that has a commit has all its files. */
async function writeRef(path: string, commit: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const partial = `${path}.${randomUUID()}`
  await writeFile(partial, commit)
  await rename(partial, path)
}

function broken(id: string, path: string, found: string): EngineError {
  return new EngineError('invalid_file', `${id}: the hub gave ${found} for ${path}`)
}

async function explaining<T>(options: DownloadOptions, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    options.signal?.throwIfAborted()
    throw explain(error, options)
  }
}

function explain(error: unknown, { missing, revision }: DownloadOptions): EngineError {
  if (error instanceof EngineError) return error
  const status = (error as { statusCode?: number }).statusCode
  const reason =
    status === 401 || status === 403
      ? 'it needs access: set HF_TOKEN to a token that may read it'
      : status === 404
        ? `there is no such model or revision ${revision}`
        : withCause(error)
  return new EngineError('model_not_found', `${missing}; it cannot be downloaded: ${reason}`, {
    cause: error,
  })
}
