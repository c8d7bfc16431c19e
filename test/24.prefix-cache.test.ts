import { describe, expect, test } from 'vitest'
import { Scheduler, type SchedulerOptions } from '../lib/scheduling/scheduler.js'
import type { SequenceGroup } from '../lib/scheduling/sequence.js'
import { FakeExecutor } from './support/fake-executor.js'
import { judge, makeGroup, outputs } from './support/requests.js'

const range = (length: number, from = 0) => Array.from({ length }, (_, i) => from + i)

function serverOf(options: Partial<SchedulerOptions> = {}) {
  const all = {
    blockSize: 4,
    numBlocks: 32,
    maxNumBatchedTokens: 64,
    maxNumSeqs: 8,
    maxSamples: 64,
    ...options,
  }
  const scheduler = new Scheduler(all)
  const executor = new FakeExecutor({ ...all, vocabSize: 100 })
  /** Runs a request to its end; gives the tokens that were computed for it. */
  const serve = (group: SequenceGroup): number => {
    let computed = 0
    scheduler.add(group)
    while (scheduler.hasWork) {
      const step = scheduler.schedule()!
      scheduler.checkIntegrity()
      computed += step.tokenCount
      scheduler.commit(step, executor.run(step), judge)
      scheduler.checkIntegrity()
    }
    return computed
  }
  return { scheduler, serve }
}

const once = { maxTokens: 1 }

describe('prefix cache', () => {
  test('a prompt starts behind the full blocks that an earlier one left', () => {
    const { scheduler, serve } = serverOf()
    expect(serve(makeGroup('a', range(14), once))).toBe(14)
    expect(scheduler.stats.cachedBlocks).toBe(3)
    const second = makeGroup('b', [...range(10), 77, 78, 79], once)
    expect(serve(second)).toBe(13 - 8)
    expect(second.cachedTokens).toBe(8)
    const { prefixCacheHits, prefixCacheQueries } = scheduler.stats
    expect([prefixCacheHits, prefixCacheQueries]).toEqual([8, 27])
  })

  test('a fully cached prompt computes its last block again, to have a row to draw from', () => {
    const { serve } = serverOf()
    const first = makeGroup('a', range(12), { maxTokens: 3 })
    serve(first)
    const again = makeGroup('b', range(12), { maxTokens: 3 })
    expect(serve(again)).toBe(4 + 2)
    expect(again.cachedTokens).toBe(8)
    expect(outputs(again)).toEqual(outputs(first))
  })

  test('the next turn of a chat reuses the blocks of the answer before', () => {
    const { serve } = serverOf()
    const first = makeGroup('a', range(6), { maxTokens: 8 })
    serve(first)
    const [answer] = outputs(first)
    const second = makeGroup('b', [...range(6), ...answer!, 50, 51], once)
    serve(second)
    // The answer's last token was never computed: 13 tokens were, 3 full blocks.
    expect(second.cachedTokens).toBe(12)
  })

  test('equal prompts that run at once share blocks from the second step on', () => {
    const { scheduler } = serverOf()
    const executor = new FakeExecutor({ blockSize: 4, numBlocks: 32, vocabSize: 100 })
    scheduler.add(makeGroup('a', range(9)))
    const first = scheduler.schedule()!
    scheduler.commit(first, executor.run(first), judge)
    scheduler.add(makeGroup('b', range(9)))
    const second = scheduler.schedule()!
    expect(second.sequences.map(({ count }) => count)).toEqual([1, 1])
    expect(scheduler.stats.usedBlocks).toBe(4)
  })

  test('different cache keys share nothing', () => {
    const { serve } = serverOf()
    serve(makeGroup('a', range(12), { ...once, cacheKey: 'salt' }))
    expect(serve(makeGroup('b', range(12), once))).toBe(12)
    expect(serve(makeGroup('c', range(12), { ...once, cacheKey: 'salt' }))).toBe(4)
  })

  test('a block is found only behind the same beginning', () => {
    const { serve } = serverOf()
    serve(makeGroup('a', range(12), once))
    expect(serve(makeGroup('b', [9, ...range(11, 1)], once))).toBe(12)
  })

  test('a request that wants its prompt scored computes all of it', () => {
    const { scheduler, serve } = serverOf()
    serve(makeGroup('a', range(12), once))
    const scored = makeGroup('b', range(12), { ...once, promptLogprobs: 0 })
    expect(serve(scored)).toBe(12)
    expect(scored.cachedTokens).toBe(0)
    expect(scheduler.stats.prefixCacheQueries).toBe(12)
  })

  test('the least recently used prefix is evicted first, from its end', () => {
    const { scheduler, serve } = serverOf({ numBlocks: 10 })
    serve(makeGroup('a', range(13), once))
    serve(makeGroup('b', range(13, 40), once))
    expect(scheduler.stats.cachedBlocks).toBe(6)
    // 5 blocks: the 3 free ones, then the last 2 of a.
    serve(makeGroup('c', range(18, 70), once))
    expect(serve(makeGroup('b2', range(13, 40), once))).toBe(1)
    expect(serve(makeGroup('a2', range(13), once))).toBe(9)
  })

  test('a reset forgets every cached block', () => {
    const { scheduler, serve } = serverOf()
    const group = makeGroup('a', range(12), { maxTokens: 20 })
    serve(group)
    scheduler.resetPrefixCache()
    expect(scheduler.stats.cachedBlocks).toBe(0)
    const again = makeGroup('b', range(12), { maxTokens: 20 })
    expect(serve(again)).toBe(12 + 19)
    expect(outputs(again)).toEqual(outputs(group))
  })

  test('without prefix caching nothing is kept or counted', () => {
    const { scheduler, serve } = serverOf({ enablePrefixCaching: false })
    serve(makeGroup('a', range(12), once))
    expect(serve(makeGroup('b', range(12), once))).toBe(12)
    const { cachedBlocks, prefixCacheQueries } = scheduler.stats
    expect([cachedBlocks, prefixCacheQueries]).toEqual([0, 0])
  })
})
