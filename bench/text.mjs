// The text that accuracy is measured on: text/pages.txt, which never changes, so that figures of different days compare.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const TEXT = fileURLToPath(new URL('text/pages.txt', import.meta.url))
const CHUNK = 500

/**
 * The token ids of a text in chunks of 500 and the one after them: each chunk is scored apart, all its tokens
 * but the first. Throws a RangeError where the text has fewer than `tokens` to score.
 */
export async function chunksOf(engine, tokens, path = TEXT) {
  const text = readFileSync(path, 'utf8')
  const ids = [...(await engine.text.tokenize(text, { addSpecialTokens: false }))]
  const chunks = []
  for (let left = tokens, at = 0; left > 0; left -= CHUNK, at += CHUNK + 1)
    chunks.push(ids.slice(at, at + Math.min(CHUNK, left) + 1))
  const scored = chunks.reduce((sum, chunk) => sum + Math.max(0, chunk.length - 1), 0)
  if (scored < tokens)
    throw new RangeError(`tokens: ${path} has ${scored} to score, found ${tokens}`)
  return chunks
}
