import { createWriteStream } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { newId } from '../../new-id.js'
import { HttpError } from '../http-error.js'

/** A file as OpenAI's API describes it. */
export interface FileObject {
  readonly id: string
  readonly object: 'file'
  readonly bytes: number
  /** Seconds since the epoch. */
  readonly created_at: number
  readonly filename: string
  readonly purpose: string
  readonly status: 'processed'
}

/** Files of the batch API in a folder: each beside what is known of it. */
export class FileStore {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  static newId(): string {
    return newId('file-')
  }

  /** Where a file's content is. */
  pathOf(id: string): string {
    return join(this.#folder, checkId('file', id))
  }

  /** Stores what a stream gives. */
  async add(content: Readable, filename: string): Promise<string> {
    await mkdir(this.#folder, { recursive: true })
    const id = FileStore.newId()
    try {
      await pipeline(content, createWriteStream(this.pathOf(id)))
    } catch (error) {
      await rm(this.pathOf(id), { force: true })
      throw error
    }
    await this.describe(id, filename, 'batch')
    return id
  }

  /** Makes a file known whose content is in place; false where it is not. */
  async describe(id: string, filename: string, purpose: string): Promise<boolean> {
    const content = await stat(this.pathOf(id)).catch(() => null)
    if (content === null) return false
    const known: FileObject = {
      ...{ id, object: 'file', bytes: content.size, created_at: seconds(), filename, purpose },
      status: 'processed',
    }
    await writeJson(`${this.pathOf(id)}.json`, known)
    return true
  }

  /** Throws HttpError 404 for a file that there is not. */
  async get(id: string): Promise<FileObject> {
    return (await readJson(`${this.pathOf(id)}.json`, 'file', id)) as FileObject
  }

  async list(): Promise<readonly FileObject[]> {
    return (await readAll(this.#folder, 'file')) as FileObject[]
  }

  async delete(id: string): Promise<void> {
    await this.get(id)
    await rm(`${this.pathOf(id)}.json`)
    await rm(this.pathOf(id), { force: true })
  }
}

type Kind = 'file' | 'batch'

/** An id becomes part of a path: it is one of ours, or of nothing. */
export function checkId(kind: Kind, id: string): string {
  if (new RegExp(`^${kind}-[0-9a-f]{32}$`).test(id)) return id
  throw noSuch(kind, id)
}

export function seconds(): number {
  return Math.floor(Date.now() / 1000)
}

/** Whole or not at all, whenever the process ends. */
export async function writeJson(path: string, value: object): Promise<void> {
  await writeFile(`${path}.new`, JSON.stringify(value))
  await rename(`${path}.new`, path)
}

export async function readJson(path: string, kind: Kind, id: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as unknown
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw noSuch(kind, id)
    throw error
  }
}

/** All that is described in a folder, the latest first. */
export async function readAll(folder: string, kind: Kind): Promise<readonly unknown[]> {
  const names = await readdir(folder).catch(() => [])
  const wanted = names.filter((name) => new RegExp(`^${kind}-[0-9a-f]{32}\\.json$`).test(name))
  const all = await Promise.all(wanted.map((name) => readJson(join(folder, name), kind, name)))
  return (all as { created_at: number }[]).sort((a, b) => b.created_at - a.created_at)
}

function noSuch(kind: Kind, id: string): HttpError {
  return new HttpError(404, `${kind} ${JSON.stringify(id)}: there is none`, { code: 'not_found' })
}
