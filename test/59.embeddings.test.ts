import { describe, expect, test } from 'vitest'
import {
  LLMEngine,
  type EmbeddingOutput,
  type EmbedOptions,
  type EngineOptions,
} from '../lib/index.js'
import { readResult } from '../lib/native/native-executor.js'
import { PlanBuilder } from '../lib/plan/builder.js'
import { EXACT, floats, modelReference, readFixture } from './support/models.js'
import { addon, MadeModel, normalNumbers, sameBits } from './support/run-plan.js'

const COLUMNS = 70
const TOKENS = 37

describe('the op', () => {
  const g = new PlanBuilder({
    name: 'p',
    vocabSize: 2,
    weightType: 'float32',
    cacheType: 'float32',
  })
  const input = g.embed('input', g.matrix({ table: 2 }, COLUMNS))
  g.pool('pool', input)
  const model = new MadeModel(g.build())
  const rows = normalNumbers(TOKENS * COLUMNS, { seed: 3, outlier: 30 })

  /** Pools rows [first, last) of a sequence in a step of their own, on top of `carried`. */
  function sum(first: number, last: number, carried?: Float32Array, isa = ''): Float32Array {
    const step = {
      sequences: [{ id: 'a', start: 0, tokens: Array<number>(TOKENS).fill(1) }],
      sampleRows: [],
      values: { 0: rows },
      pools: [[first, last - first, carried ? 0 : -1]] as const,
      ...(carried ? { carried } : {}),
    }
    const [result] = model.run([step], [], { isa, threads: 2 })
    return readResult(result!.ints, result!.floats).pooled!
  }

  test.each(addon.instructionSets)('%s: sums are those of float64', (isa) => {
    const found = sum(0, TOKENS, undefined, isa)
    for (let c = 0; c < COLUMNS; c++) {
      let expected = 0
      let magnitude = 0
      for (let t = 0; t < TOKENS; t++) {
        expected += rows[t * COLUMNS + c]!
        magnitude += Math.abs(rows[t * COLUMNS + c]!)
      }
      // Each addition rounds a sum that is at most the magnitude.
      expect(Math.abs(found[c]! - expected)).toBeLessThan(TOKENS * magnitude * 2 ** -24)
    }
  })

  test('a sum that is carried on has the bits of one step', () => {
    for (const cut of [1, 13, TOKENS - 1])
      expect(sameBits(sum(cut, TOKENS, sum(0, cut)), sum(0, TOKENS))).toBe(true)
  })

  test('one row is the row', () => {
    expect(sameBits(sum(TOKENS - 1, TOKENS), rows.subarray(-COLUMNS))).toBe(true)
  })

  test('a step that pools what is not there is refused', () => {
    expect(() => sum(0, TOKENS + 1)).toThrow(/pools\[0\]: row count 38/)
    expect(() => sum(0, 1, new Float32Array(COLUMNS - 1))).toThrow(/start of the sum 0/)
  })
})

const expected = readFixture('embeddings.json') as {
  models: Record<string, { mean: string; last: string }[]>
}

/** Runs `use` with an engine, which must leave no block behind. */
async function withEngine<T>(
  model: string,
  options: EngineOptions,
  use: (engine: LLMEngine) => Promise<T>,
): Promise<T> {
  const engine = await LLMEngine.load(model, { ...EXACT, ...options })
  try {
    const result = await use(engine)
    engine.checkIntegrity()
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, usedBlocks: 0 })
    return result
  } finally {
    await engine.close()
  }
}

describe.each(Object.keys(expected.models))('hidden states of %s by transformers', (name) => {
  const { folder, prompts } = modelReference(name)
  const inputs = prompts.map((promptTokenIds) => ({ promptTokenIds }))

  test.each(['mean', 'last'] as const)('%s', async (pooling) => {
    const outputs = await withEngine(folder, { skipTokenizerInit: true }, (engine) =>
      engine.embed(inputs, { pooling, normalize: false }),
    )
    outputs.forEach(({ embedding, promptTokenIds }, i) => {
      expect(promptTokenIds).toEqual(prompts[i])
      const wanted = floats(expected.models[name]![i]![pooling])
      expect(embedding).toHaveLength(wanted.length)
      const largest = Math.max(...wanted.map(Math.abs))
      // Another order of float32 sums: as much as logits may differ (test/support/expect-logprobs.ts).
      embedding.forEach((x, c) => expect(Math.abs(x - wanted[c]!)).toBeLessThan(2e-5 * largest))
    })
  })
})

const texts = [
  'A cat.',
  'Once upon a time there was a dog who lived by the sea. '.repeat(4),
  'The capital of France',
  'Once upon a time there was a dog who lived by the lake. '.repeat(3),
]

describe('company', () => {
  const embed = (options: EngineOptions, { pooling }: EmbedOptions, among: boolean) =>
    withEngine('demo', options, async (engine) => {
      const others = among
        ? engine.generate(['One', 'Two', 'Three'], { maxTokens: 40, ignoreEos: true })
        : null
      const outputs: EmbeddingOutput[] = []
      for (const inputs of among ? [texts] : texts)
        outputs.push(...(await engine.embed(inputs, { pooling })))
      await others
      const preemptions = outputs.reduce((sum, { metrics }) => sum + metrics.preemptions, 0)
      return { rows: outputs.map(({ embedding }) => embedding), preemptions }
    })

  describe.each(['mean', 'last'] as const)('%s', (pooling) => {
    const alone = embed({}, { pooling }, false)

    test.each<[string, EngineOptions]>([
      ['all at once', {}],
      ['16 tokens a step', { maxNumBatchedTokens: 16, maxNumSeqs: 8 }],
      ['prompts in turns', { maxNumBatchedTokens: 24, maxNumSeqs: 8, maxNumPartialPrefills: 3 }],
      ['blocks of 1', { blockSize: 1 }],
      ['no prefix cache', { enablePrefixCaching: false }],
      ['three threads', { threads: 3 }],
      ['steps ahead', { asyncScheduling: true, maxNumBatchedTokens: 16, maxNumSeqs: 8 }],
    ])('has the same bits: %s', async (_, options) => {
      const { rows } = await embed(options, { pooling }, true)
      const wanted = (await alone).rows
      rows.forEach((row, i) => expect(sameBits(row, wanted[i]!), texts[i]).toBe(true))
    })

    test('has the same bits after preemptions', async () => {
      const tight = { blockSize: 1, numGpuBlocksOverride: 90, watermark: 0 }
      const options = { ...tight, maxNumBatchedTokens: 8, maxNumSeqs: 8 }
      const { rows, preemptions } = await embed(options, { pooling }, true)
      expect(preemptions).toBeGreaterThan(0)
      const wanted = (await alone).rows
      rows.forEach((row, i) => expect(sameBits(row, wanted[i]!), texts[i]).toBe(true))
    })

    test('has length 1', async () => {
      for (const row of (await alone).rows) expect(Math.hypot(...row)).toBeCloseTo(1, 6)
    })
  })

  test('the last state alone is found by the prefix cache, and leaves its prompt there', () =>
    withEngine('demo', {}, async (engine) => {
      const long = texts[1]!
      const cached = async (pooling: 'mean' | 'last') =>
        (await engine.embed(long, { pooling }))[0]!.metrics.cachedTokens
      expect(await cached('mean')).toBe(0)
      expect(await cached('mean')).toBe(0)
      expect(await cached('last')).toBeGreaterThan(0)
      const [output] = await engine.generate(long, { maxTokens: 1 })
      expect(output!.metrics.cachedTokens).toBeGreaterThan(0)
    }))
})

describe('options', () => {
  test('dimensions keep the first numbers, scaled again', () =>
    withEngine('demo', {}, async (engine) => {
      const [whole] = await engine.embed('A cat.', { normalize: false })
      const [part] = await engine.embed('A cat.', { dimensions: 5 })
      const first = whole!.embedding.subarray(0, 5)
      const length = Math.hypot(...first)
      expect(part!.embedding).toEqual(first.map((x) => x / length))
    }))

  test('wrong ones are named', () =>
    withEngine('demo', {}, async (engine) => {
      const refused = async (options: object, message: RegExp) =>
        expect(engine.embed('A cat.', options)).rejects.toThrow(message)
      await refused({ pooling: 'max' }, /pooling: expected one of 'mean', 'last'/)
      await refused({ dimensions: 0 }, /dimensions: expected/)
      await refused({ dimensions: 100_000 }, /dimensions: expected/)
      await refused({ normalize: 1 }, /normalize: expected true or false/)
      await refused({ maxTokens: 1 }, /unknown embed option/)
    }))

  test('an input fills the context, and no longer one is taken', () =>
    withEngine('demo', { maxModelLen: 64 }, async (engine) => {
      const ids = (length: number) => ({ promptTokenIds: Array<number>(length).fill(5) })
      await expect(engine.embed(ids(64))).resolves.toHaveLength(1)
      await expect(engine.embed(ids(65))).rejects.toThrow(
        'prompt: expected at most maxModelLen tokens, which is 64, found 65',
      )
      await expect(engine.embed(ids(0))).rejects.toThrow(/at least one token/)
      await expect(engine.embed([ids(3), { promptTokenIds: [9999] }])).rejects.toThrow(/9999/)
    }))

  test('an abort ends an input between its parts', () =>
    withEngine('demo', { maxNumBatchedTokens: 8, maxNumSeqs: 8 }, async (engine) => {
      const controller = new AbortController()
      const embedding = engine.embed(texts, { pooling: 'mean', signal: controller.signal })
      const stop = engine.observe({ onStep: () => controller.abort(new Error('enough')) })
      await expect(embedding).rejects.toThrow('enough')
      stop()
    }))
})
