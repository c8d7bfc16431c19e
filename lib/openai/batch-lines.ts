import { createReadStream } from 'node:fs'

/**
 * The lines of a file as they are read, each with its line end; the last may lack one. Only `\n` ends
 * a line: node:readline would also split at U+2028, which JSON texts may hold.
 */
export async function* readLines(path: string): AsyncGenerator<string, void, undefined> {
  let line: string[] = []
  for await (const chunk of createReadStream(path, { encoding: 'utf8' })) {
    const [first = '', ...others] = (chunk as string).split('\n')
    line.push(first)
    for (const other of others) {
      yield `${line.join('')}\n`
      line = [other]
    }
  }
  const rest = line.join('')
  if (rest !== '') yield rest
}

/** How many lines hold more than white space. */
export async function countLines(path: string): Promise<number> {
  let count = 0
  for await (const line of readLines(path)) if (line.trim() !== '') count++
  return count
}
