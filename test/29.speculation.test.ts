import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NgramIndex } from '../lib/scheduling/ngram-index.js'
import type { SchedulerOptions } from '../lib/scheduling/scheduler.js'
import type { SamplingParams } from '../lib/sampling-params.js'
import { makeBeamGroup, judge, makeGroup, outputs } from './support/requests.js'
import { runs } from './support/runs.js'
import { Bench, print } from './support/scheduler-bench.js'

const speculation = { numSpeculativeTokens: 4, promptLookupMin: 2, promptLookupMax: 4 }

describe('NgramIndex', () => {
  const match = (tokens: readonly number[], min = 2, max = 4, first = 0) =>
    new NgramIndex(min, max, first).match(Int32Array.from(tokens), tokens.length)

  test('finds the place behind the last occurrence of the last tokens', () => {
    expect(match([1, 2, 9, 1, 2, 8, 1, 2])).toBe(5)
    expect(match([1, 2, 3, 4])).toBe(0)
  })

  test('prefers a longer match to a later one', () => {
    expect(match([7, 1, 2, 9, 3, 1, 2, 8, 7, 1, 2])).toBe(3)
  })

  test('looks for no more than the most tokens and no less than the fewest', () => {
    expect(match([7, 1, 2, 9, 3, 1, 2, 8, 7, 1, 2], 2, 2)).toBe(7)
    expect(match([1, 2, 9, 3, 2], 2)).toBe(0)
    expect(match([1, 2, 9, 3, 2], 1)).toBe(2)
  })

  test('a match may overlap the tokens that are looked up', () => {
    expect(match([5, 5, 5])).toBe(2)
    expect(match([5, 5])).toBe(0)
  })

  test('looks at nothing before the first token', () => {
    expect(match([1, 2, 9, 1, 2], 2, 4, 1)).toBe(0)
    expect(match([0, 1, 2, 9, 1, 2], 2, 4, 1)).toBe(3)
  })

  test('catches up with a long prompt over some look-ups', () => {
    const tokens = Int32Array.from({ length: 20_000 }, (_, i) => i % 9000)
    const index = new NgramIndex(2, 4)
    const found = Array.from({ length: 5 }, () => index.match(tokens, 19_000))
    expect(found).toEqual([0, 0, 0, 0, 10_000])
    expect(index.match(tokens, 19_001)).toBe(10_001)
  })

  test('finds what a search through all tokens finds, however they came', () => {
    const naive = (tokens: Int32Array, length: number, min: number, max: number) => {
      for (let n = max; n >= min; n--) {
        for (let end = length - 1; n <= length && end >= n; end--) {
          const found = tokens.subarray(end - n, end).join()
          if (found === tokens.subarray(length - n, length).join()) return end
        }
      }
      return 0
    }
    const tokens = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 80 })
    const jumps = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 })
    const sizes = [fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 3 })] as const
    fc.assert(
      fc.property(tokens, jumps, ...sizes, (list, steps, min, more) => {
        const all = Int32Array.from(list)
        const index = new NgramIndex(min, min + more)
        for (let length = 1, i = 0; length <= all.length; length += steps[i++ % steps.length]!)
          expect(index.match(all, length)).toBe(naive(all, length, min, min + more))
      }),
      { numRuns: runs(300) },
    )
  })
})

/** A bench whose draws are given, step by step. */
class Drawing extends Bench {
  constructor(options: Partial<SchedulerOptions> = {}) {
    super({ speculation, ...options })
  }

  /** A request that begins by repeating itself, and draws `first` behind its prompt. */
  begin(prompt: readonly number[], first: number, params: Partial<SamplingParams> = {}) {
    const group = makeGroup('a', prompt, { maxTokens: 100, ...params })
    this.scheduler.add(group)
    this.draw(first)
    return group
  }

  draw(...tokenIds: number[]): string {
    const step = this.schedule()
    this.commit(step, judge, { ...this.executor.run(step), tokenIds: Int32Array.from(tokenIds) })
    return print(step)
  }
}

describe('drafts', () => {
  const cycle = [1, 2, 3, 1, 2]

  test('are verified beside the last token; one token more is drawn than are right', () => {
    const bench = new Drawing()
    const group = bench.begin(cycle, 3)
    expect(bench.draw(1, 2, 3, 1, 2)).toBe('a:5+5')
    expect(outputs(group)).toEqual([[3, 1, 2, 3, 1, 2]])
    expect(bench.draw(3, 1, 9, 3, 1)).toBe('a:5+5')
    expect(outputs(group)).toEqual([[3, 1, 2, 3, 1, 2, 3, 1, 9]])
    expect(bench.scheduler.stats).toMatchObject({ drafts: 2, draftTokens: 8, acceptedTokens: 6 })
  })

  test('are not made where the last tokens are new', () => {
    const bench = new Drawing()
    bench.begin(cycle, 9)
    expect(bench.draw(8)).toBe('a:1+1')
  })

  test('that were wrong leave no block and no entry of the prefix cache', () => {
    const bench = new Drawing({ enablePrefixCaching: true })
    const group = bench.begin([...cycle, 3, 1], 2)
    const [sequence] = group.sequences
    const { usedBlocks } = bench.scheduler.stats
    const step = bench.schedule()
    expect(print(step)).toBe('a:5+5') // positions 7 to 11: the rest of one block, and a whole one
    expect(bench.scheduler.stats.usedBlocks).toBe(usedBlocks + 1)
    bench.commit(step, judge, {
      ...bench.executor.run(step),
      tokenIds: Int32Array.of(9, 1, 1, 1, 1),
    })
    expect(sequence).toMatchObject({ length: 9, computed: 8, slots: 8, published: 2, drafts: 0 })
    expect(bench.scheduler.stats.usedBlocks).toBe(usedBlocks)
    bench.scheduler.abort('a')
    expect(bench.scheduler.stats.cachedBlocks).toBe(2)
  })

  test('that were right are found in the prefix cache, however many there were', () => {
    const options = { blockSize: 1, maxNumBatchedTokens: 64, maxSamples: 64 }
    const many = { ...speculation, numSpeculativeTokens: 20 }
    const bench = new Drawing({ ...options, speculation: many, enablePrefixCaching: true })
    bench.begin([1, 1], 1)
    expect(bench.draw(...Array.from({ length: 21 }, () => 1))).toBe('a:21+21')
    const next = makeGroup(
      'b',
      Array.from({ length: 24 }, () => 1),
    )
    bench.scheduler.add(next)
    bench.schedule()
    expect(next.cachedTokens).toBe(23)
  })

  test('do not pass maxTokens', () => {
    const bench = new Drawing()
    const group = bench.begin(cycle, 3, { maxTokens: 4 })
    expect(bench.draw(1, 2, 3)).toBe('a:3+3')
    expect(group.finished).toBe(true)
    expect(outputs(group)).toEqual([[3, 1, 2, 3]])
  })

  test('behind a token that ends the sequence are no part of it', () => {
    const bench = new Drawing()
    const group = bench.begin(cycle, 3, { stopTokenIds: [2] })
    bench.draw(1, 2, 3, 1, 2)
    expect(outputs(group)).toEqual([[3, 1, 2]])
    expect(bench.scheduler.stats).toMatchObject({
      draftTokens: 4,
      acceptedTokens: 1,
      usedBlocks: 0,
    })
  })

  test('become fewer where they are wrong, then are tried now and then, and more where they are right', () => {
    const bench = new Drawing({ speculation: { ...speculation, promptLookupMin: 1 } })
    bench.begin([1, 2, 1], 2)
    /** Draws what was drafted, or at first the other one of the two tokens. */
    const step = (right: boolean) => {
      const step = bench.schedule()
      const { tokens, length } = step.sequences[0]!.sequence
      const tokenIds = tokens.slice(length, length + step.sampleCount)
      tokenIds[step.sampleCount - 1] = 1
      if (!right && step.sampleCount > 1) tokenIds[0] = 3 - tokenIds[0]!
      bench.commit(step, judge, { ...bench.executor.run(step), tokenIds })
      return step.sequences[0]!.drafts
    }
    expect([1, 2, 3].map(() => step(false))).toEqual([4, 2, 1])
    expect(Array.from({ length: 9 }, () => step(false))).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1])
    expect(Array.from({ length: 8 }, () => step(true))).toEqual([0, 0, 0, 0, 0, 0, 0, 0])
    expect(Array.from({ length: 4 }, () => step(true))).toEqual([1, 2, 4, 4])
  })

  test('take what is left of the tokens, the sample rows and the blocks of a step', () => {
    for (const limit of ['maxNumBatchedTokens', 'maxSamples']) {
      const bench = new Drawing({ [limit]: 3 })
      bench.scheduler.add(makeGroup('a', [1, 1], { maxTokens: 100 }))
      bench.draw(1)
      expect(bench.draw(1, 1, 1)).toBe('a:3+3')
    }
    const bench = new Drawing({ numBlocks: 3 })
    bench.begin(cycle, 3)
    expect(bench.draw(1, 2, 3)).toBe('a:3+3') // 8 tokens fit 2 blocks
  })

  test('are shared out, and left out where 16 sequences decode', () => {
    const bench = new Drawing({ maxNumSeqs: 16, maxNumBatchedTokens: 200, maxSamples: 32 })
    const add = (count: number) => {
      for (let i = 0; i < count; i++)
        bench.scheduler.add(makeGroup(String.fromCharCode(97 + i), cycle, { maxTokens: 100 }))
    }
    add(6)
    bench.draw(3, 3, 3, 3, 3, 3)
    const step = bench.schedule()
    expect(print(step)).toBe('a:3+3 b:3+3 c:3+3 d:3+3 e:2+2 f:2+2')
    bench.commit(step)
    for (const id of 'abcdef') bench.scheduler.abort(id)
    add(16)
    bench.draw(...Array.from({ length: 16 }, () => 3))
    expect(bench.schedule().sampleCount).toBe(16)
  })

  test('preempt nobody', () => {
    const bench = new Drawing({ numBlocks: 5 })
    bench.scheduler.add(makeGroup('a', cycle, { maxTokens: 100 }))
    bench.scheduler.add(makeGroup('b', cycle, { maxTokens: 100 }))
    bench.draw(3, 3)
    expect(bench.draw(1, 2, 3, 1, 2, 3)).toBe('a:3+3 b:3+3')
    expect(bench.scheduler.stats.preemptions).toBe(0)
  })

  test('are not made for several outputs, until one is left', () => {
    const bench = new Drawing()
    const group = makeGroup('a', cycle, { bestOf: 2, maxTokens: 100, stopTokenIds: [9] })
    bench.scheduler.add(group)
    bench.draw(3, 3)
    expect(bench.draw(1, 9)).toBe('a:1+1 a1:1+1')
    expect(bench.draw(2, 3, 1, 2, 3)).toBe('a:5+5')
    expect(outputs(group)).toEqual([
      [3, 1, 2, 3, 1, 2, 3],
      [3, 9],
    ])
  })

  test('are not made by a search', () => {
    const search = { width: 2, lengthPenalty: 1, earlyStopping: false, maxTokens: 8, minTokens: 0 }
    const bench = new Bench({ speculation })
    bench.scheduler.add(makeBeamGroup('a', cycle, { ...search, endTokenIds: new Set() }))
    bench.finish()
    expect(bench.scheduler.stats.drafts).toBe(0)
  })

  test('a step with room for drafts is not scheduled ahead, a full one is', () => {
    const bench = new Drawing({ maxNumSeqs: 17, maxNumBatchedTokens: 200, maxSamples: 32 })
    bench.begin(cycle, 3)
    const step = bench.schedule()
    expect(step.sequences[0]!.drafts).toBe(4)
    expect(bench.scheduler.canScheduleAhead).toBe(false)
    bench.commit(step)
    for (let i = 1; i < 16; i++) bench.scheduler.add(makeGroup(`r${i}`, [i], { maxTokens: 100 }))
    bench.step()
    bench.schedule()
    expect(bench.scheduler.canScheduleAhead).toBe(true)
  })
})
