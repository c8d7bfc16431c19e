import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Time of the last change to a file, in milliseconds; 0 if there is none. */
export function changedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

/** Time of the last change below a path. Folders count, so that a removed file shows. */
export function lastChange(path) {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return changedAt(path)
  const children = readdirSync(path).map((name) => lastChange(join(path, name)))
  return Math.max(changedAt(path), ...children)
}

/** Whether the output is missing or older than something that it is made from. */
export function isStale(output, sources) {
  const made = changedAt(output)
  return made === 0 || sources.some((source) => lastChange(source) > made)
}
