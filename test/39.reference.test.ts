import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { buildPlan, readModelConfig } from '../lib/models/registry.js'
import type { StoredType } from '../lib/plan/ops.js'
import { matchCheckpoint, readCheckpoint } from '../lib/weights/checkpoint.js'
import { greedyCases, logSoftmax, modelReference } from './support/models.js'
import { Reference } from './support/reference.js'
import { roundTo, tensorReader } from './support/weights.js'

const DEMO = fileURLToPath(new URL('../models/demo', import.meta.url))

/** The plan's interpreter with a folder's weights; each is matched with the plan on the way. */
async function loadReference(
  folder: string,
  cacheType: StoredType = 'float32',
): Promise<Reference> {
  const json: unknown = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))
  const config = readModelConfig(json)
  const plan = buildPlan(config, { weightType: config.storedType, cacheType })
  const tensors = matchCheckpoint(plan, await readCheckpoint(folder))
  return new Reference(plan, tensorReader(tensors))
}

function argmax(row: ArrayLike<number>): number {
  const values = Array.from(row)
  return values.indexOf(Math.max(...values))
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i]!)))
}

/** Greedy tokens after a prompt, one step a token over the cache. */
function greedy(
  reference: Reference,
  id: string,
  prompt: readonly number[],
  count: number,
): number[] {
  const tokens: number[] = []
  let next = prompt
  let start = 0
  while (tokens.length < count) {
    const [row] = reference.logits([{ id, start, tokens: next }])
    start += next.length
    next = [argmax(row!)]
    tokens.push(next[0]!)
  }
  return tokens
}

const MODELS = ['llama', 'llama-tied-gqa1', 'llama-biases-headdim', 'llama-rope-llama3']

// The fixtures are float32 results of the same bfloat16 weights. Logits reach 30, where float32 has
// steps of 2e-6, and sums of a hundred terms lose a few of them.
const FLOAT32_ERROR = 3e-5

describe.each(MODELS)('the plan of %s, in float64', (name) => {
  const { folder, prompts, greedy: expected, allLogits, nextLogits } = modelReference(name)

  it('gives the log-probabilities of the reference after every prompt', async () => {
    const reference = await loadReference(folder)
    prompts.forEach((tokens, i) => {
      const [row] = reference.logits([{ id: `prompt ${i}`, start: 0, tokens }])
      const found = logSoftmax(Float32Array.from(row!))
      expect(largestDifference(found, logSoftmax(nextLogits[i]!))).toBeLessThan(FLOAT32_ERROR)
    })
  })

  it('gives them at every position of the last prompt', async () => {
    const reference = await loadReference(folder)
    const tokens = prompts.at(-1)!
    const rows = reference.logits([{ id: 'all', start: 0, tokens }], { all: true })
    const vocabSize = reference.plan.vocabSize
    rows.forEach((row, t) => {
      const expected = logSoftmax(allLogits.slice(t * vocabSize, (t + 1) * vocabSize))
      const found = logSoftmax(Float32Array.from(row))
      expect(largestDifference(found, expected), `position ${t}`).toBeLessThan(FLOAT32_ERROR)
    })
  })

  it('draws the same greedy tokens', async () => {
    const reference = await loadReference(folder)
    prompts.forEach((prompt, i) => {
      const tokens = greedy(reference, `greedy ${i}`, prompt, expected[i]!.length)
      expect(tokens).toEqual(expected[i])
    })
  })
})

describe('the interpreter', () => {
  it('gives the same whether a prompt comes whole, in parts, or beside another', async () => {
    const { folder, prompts } = modelReference('llama')
    const reference = await loadReference(folder)
    const tokens = prompts[2]!
    const [whole] = reference.logits([{ id: 'whole', start: 0, tokens }])
    reference.logits([{ id: 'parts', start: 0, tokens: tokens.slice(0, 20) }])
    const rest = { id: 'parts', start: 20, tokens: tokens.slice(20) }
    const other = { id: 'other', start: 0, tokens: prompts[1]! }
    const [, parts] = reference.logits([other, rest])
    expect(parts).toEqual(whole)
  })

  it('goes on from given values, so that each op can be judged alone', async () => {
    const { folder } = modelReference('llama')
    const reference = await loadReference(folder)
    const step = { sequences: [{ id: 'a', start: 0, tokens: [1, 2] }], sampleRows: [0] }
    const plain = reference.run(step)
    const op = reference.plan.ops[1]!
    const first = 'out' in op ? op.out : undefined
    const given = new Map([[first!.id, new Float32Array(2 * first!.cols)]])
    const changed = reference.run(step, given)
    expect(changed.get(first!.id)).toEqual(plain.get(first!.id))
    const next = reference.plan.ops[2]!
    const second = 'out' in next ? changed.get(next.out.id) : undefined
    expect(second).toHaveLength(2)
    expect(second!.flatMap((row) => [...row]).every((x) => x === 0)).toBe(true)
  })

  it('reads keys and values back in the type of the cache', async () => {
    const { folder, prompts } = modelReference('llama')
    const step = [{ id: 'a', start: 0, tokens: prompts[2]! }]
    const [exact, half, brain] = await Promise.all(
      (['float32', 'float16', 'bfloat16'] as const).map(async (type) => {
        const [row] = (await loadReference(folder, type)).logits(step)
        return row!
      }),
    )
    const errors = [half!, brain!].map((row) => largestDifference(row, exact!))
    expect(errors[0]).toBeGreaterThan(1e-6)
    expect(errors[0]).toBeLessThan(0.01)
    expect(errors[1]).toBeGreaterThan(2 * errors[0]!)
    expect(errors[1]).toBeLessThan(0.1)
  })

  it('continues the stories of the demo', async () => {
    const reference = await loadReference(DEMO)
    const { promptIds, greedyIds } = greedyCases('demo.json')[0]!
    expect(greedy(reference, 'demo', promptIds, 16)).toEqual(greedyIds.slice(0, 16))
  })
})

describe('rounding to a stored type', () => {
  it.each([
    ['bfloat16', 1 + 2 ** -8, 1],
    ['bfloat16', 1 + 3 * 2 ** -8, 1 + 2 ** -6],
    ['bfloat16', -3.14159, -3.140625],
    ['bfloat16', 3.4e38, Infinity],
    ['float16', 1 + 2 ** -11, 1],
    ['float16', 1 + 3 * 2 ** -11, 1 + 2 ** -9],
    ['float16', 65504, 65504],
    ['float16', 65520, Infinity],
    ['float16', 2 ** -25, 0],
    ['float16', 3 * 2 ** -25, 2 ** -23],
    ['float32', 0.1, 0.10000000149011612],
  ] as const)('%s: %d becomes %d', (type, value, expected) => {
    expect(roundTo(type, value)).toBe(expected)
  })
})
