import { createReadStream } from 'node:fs'

/**
 * The lines of a file as they are read, each with its line end; the last may lack one. Only `\n` ends
 * a line: node:readline would also split at U+2028, which JSON texts may hold.
 */
export async function* readLines(path: string): AsyncGenerator<string, void, undefined> {
  let rest = ''
  for await (const chunk of createReadStream(path, { encoding: 'utf8' })) {
    const lines = (rest + (chunk as string)).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) yield `${line}\n`
  }
  if (rest !== '') yield rest
}

/** How many lines hold more than white space. */
export async function countLines(path: string): Promise<number> {
  let count = 0
  for await (const line of readLines(path)) if (line.trim() !== '') count++
  return count
}
