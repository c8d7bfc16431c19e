import { createInterface } from 'node:readline'

/** The lines of standard input that are not empty; none where it is a terminal. */
export async function readStdinLines(): Promise<string[]> {
  if (process.stdin.isTTY) return []
  const lines: string[] = []
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() !== '') lines.push(line)
  }
  return lines
}
