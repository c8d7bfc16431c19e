// What the figures of a model are related to.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const octavo = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** Its vocabulary, and how many keys and values a token has in the cache. */
export function modelFacts(model) {
  const args = [octavo, 'info', model, '--json']
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr.trim())
  const { layers, kvHeads, headDim, vocabSize } = JSON.parse(stdout).shape
  return { vocabulary: vocabSize, cachedVectors: 2 * layers * kvHeads, headDim }
}
