import { open, readFile, realpath, stat } from 'node:fs/promises'
import { EngineError } from '../errors.js'

/** A parsed JSON file. Throws EngineError `invalid_file` naming it where it is no JSON. */
export async function readJson(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8')
  try {
    return JSON.parse(text)
  } catch (cause) {
    const reason = (cause as Error).message
    throw new EngineError('invalid_file', `${path}: not JSON: ${reason}`, { cause })
  }
}

/** What `read` gives for the path, or null where there is nothing of this name. */
export async function ifPresent<T>(
  path: string,
  read: (path: string) => Promise<T>,
): Promise<T | null> {
  try {
    return await read(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** The size in bytes of a file, or null where there is no file of this name. */
export async function fileSize(path: string): Promise<number | null> {
  const stats = await ifPresent(path, (path) => stat(path))
  return stats?.isFile() ? stats.size : null
}

export async function isFile(path: string): Promise<boolean> {
  return (await fileSize(path)) !== null
}

export async function isFolder(path: string): Promise<boolean> {
  const stats = await ifPresent(path, (path) => stat(path))
  return stats?.isDirectory() ?? false
}

/** The end of an error about a file that is missing: some that are there. */
export function holding(files: readonly string[]): string {
  const names = files.toSorted()
  return names.length === 0 ? '; it is empty' : `; it holds ${names.slice(0, 3).join(', ')}`
}

/** What tells the states of a file apart. */
export async function fileState(file: string) {
  const path = await realpath(file)
  const { size, mtimeNs } = await stat(path, { bigint: true })
  return { path, size: String(size), mtimeNs: String(mtimeNs) }
}

/** So many bytes of a file from `offset` on; fewer where it ends. */
export async function readRange(path: string, offset: number, length: number): Promise<Buffer> {
  const handle = await open(path)
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}
