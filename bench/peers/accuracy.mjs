// How far each engine's next-token distributions are off from exact ones, at every position of a text. Exact are those
// of Octavo with the 4-bit file's weights dequantised to float32, float32 inputs of every product and a float32
// cache. Both engines write a position's numbers after the other's, so that none has to be kept.
import { readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { chunksOf } from '../text.mjs'
import { modelFacts } from './model-facts.mjs'
import { exactModelFor, folder, modelFor, startLogits } from './engines.mjs'

/** Mean divergence (nats), perplexities and how often the most likely token is the same. */
export async function measureAccuracy(engine, model, bits, { tokens }, setting) {
  const text = await textOf(model, tokens)
  const targets = JSON.parse(readFileSync(text, 'utf8')).flatMap((chunk) => chunk.slice(1))
  const exact = startLogits('octavo', exactModelFor(model), text, { ...setting, exact: true })
  const found = startLogits(engine, modelFor(engine, model, bits), text, setting)
  try {
    return await compareAll(exact, found, targets, modelFacts(model).vocabulary)
  } catch (error) {
    return { value: null, why: error.message }
  } finally {
    exact.stop()
    found.stop()
  }
}

async function compareAll(exact, found, targets, vocabulary) {
  const sums = { divergence: 0, same: 0, exactLoss: 0, loss: 0 }
  const [exactRows, foundRows] = [exact, found].map(({ rows }) => rowsOf(rows, vocabulary))
  for (const target of targets) {
    const [{ value: p }, { value: q }] = [await exactRows.next(), await foundRows.next()]
    if (!p) throw new Error(await exact.reason)
    if (!q) throw new Error(await found.reason)
    addTo(sums, p, q, target)
  }
  const count = targets.length
  return {
    value: sums.divergence / count,
    same: sums.same / count,
    perplexity: Math.exp(sums.loss / count),
    exactPerplexity: Math.exp(sums.exactLoss / count),
  }
}

function addTo(sums, p, q, target) {
  const [exact, found] = [normalise(p), normalise(q)]
  let divergence = 0
  for (let i = 0; i < p.length; i++) {
    const logP = p[i] - exact.total
    divergence += Math.exp(logP) * (logP - (q[i] - found.total))
  }
  sums.divergence += divergence
  sums.same += Number(exact.best === found.best)
  sums.exactLoss += exact.total - p[target]
  sums.loss += found.total - q[target]
}

/** The most likely token, and the logarithm of the sum of exponentials. */
function normalise(logits) {
  let best = 0
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i
  let sum = 0
  for (const logit of logits) sum += Math.exp(logit - logits[best])
  return { best, total: logits[best] + Math.log(sum) }
}

/** The numbers that a stream brings, so many at a time; each row is good until the next is asked for. */
async function* rowsOf(stream, length) {
  const row = new Float32Array(length)
  const bytes = Buffer.from(row.buffer)
  let filled = 0
  for await (const piece of stream) {
    for (let at = 0; at < piece.length;) {
      const copied = piece.copy(bytes, filled, at)
      filled += copied
      at += copied
      if (filled < bytes.length) continue
      yield row
      filled = 0
    }
  }
}

/** A file of the text's token ids in chunks, as its engines read them. */
async function textOf(model, tokens) {
  const path = join(folder, `text-${basename(model, '.gguf')}-${tokens}.json`)
  const { LLMEngine } = await import('../../dist/index.js')
  const engine = await LLMEngine.load(model, { maxModelLen: 64, log: false })
  writeFileSync(path, JSON.stringify(await chunksOf(engine, tokens)))
  await engine.close()
  return path
}
