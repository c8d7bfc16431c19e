import { describe, expect, test } from 'vitest'
import { makeGroup, outputs } from './support/requests.js'
import { Bench } from './support/scheduler-bench.js'

describe('memory', () => {
  test('a group is admitted when all of it fits beside what running prompts still need', () => {
    const bench = new Bench({ numBlocks: 9, maxSamples: 4, maxNumSeqs: 4 })
    bench.scheduler.add(makeGroup('a', 24, { promptLogprobs: 0 }))
    bench.scheduler.add(makeGroup('b', 9))
    // a will need 6 of the 8 blocks and b 3, though a holds one, then two.
    expect([bench.step(), bench.step()]).toEqual(['a:4', 'a:4'])
    expect(bench.scheduler.stats.waiting).toBe(1)
  })

  test('the copies that a fork will need are kept free for it', () => {
    const bench = new Bench({ numBlocks: 7, maxNumBatchedTokens: 64 })
    bench.scheduler.add(makeGroup('a', 7, { bestOf: 3 }))
    bench.scheduler.add(makeGroup('b', 12))
    // 4 blocks are free, a's two copies need 2, b would need 3.
    expect(bench.step()).toBe('a:7+3')
  })

  test('blocks that a running group shares are not counted twice', () => {
    const bench = new Bench({ numBlocks: 7, enablePrefixCaching: true })
    bench.add(16)
    bench.step()
    bench.add(16)
    // 2 blocks are free, one for each to go on; 3 of the prompt's 4 are shared.
    expect(bench.step()).toBe('a:1+1 b:4+1')
  })

  test('the watermark keeps blocks free for running groups, but never stops a lone group', () => {
    const bench = new Bench({ numBlocks: 11, watermark: 0.5 })
    bench.add(16, 8)
    expect(bench.step()).toBe('a:16+1')
    // 6 blocks are free, b needs 2, 5 are to stay.
    expect(bench.step()).toBe('a:1+1')
    const lone = new Bench({ numBlocks: 5, watermark: 1 })
    lone.add(15)
    expect(lone.step()).toBe('a:15+1')
  })

  test('the latest arrival gives way, keeps its tokens and is computed again as one prompt', () => {
    const bench = new Bench({ numBlocks: 5 })
    const [, b] = bench.add(7, 7)
    expect(bench.step()).toBe('a:7+1 b:7+1')
    expect(bench.step()).toBe('a:1+1 b:1+1')
    expect(bench.step()).toBe('a:1+1')
    const known = outputs(b!)[0]!
    expect([bench.scheduler.stats.preemptions, b!.preemptions, known.length]).toEqual([1, 1, 2])
    expect(bench.scheduler.abort('a')).toBe(true)
    expect(bench.step()).toBe('b:9+1')
    expect(outputs(b!)[0]!.slice(0, 2)).toEqual(known)
    expect(b!.sequences[0]!.outputLength).toBe(3)
  })

  test('preempted groups come back before new ones, the earliest first', () => {
    const bench = new Bench({ numBlocks: 7, maxNumBatchedTokens: 64 })
    bench.add(8, 8, 8)
    expect(bench.step()).toBe('a:8+1 b:8+1 c:8+1')
    bench.add(1)
    // a and b need a block each: c gives both.
    expect(bench.step()).toBe('a:1+1 b:1+1')
    for (let i = 0; i < 3; i++) bench.step()
    // Now b has to go for a.
    expect(bench.step()).toBe('a:1+1')
    expect(bench.scheduler.stats.waiting).toBe(3)
    bench.scheduler.abort('a')
    expect(bench.step()).toMatch(/^b:13\+1/)
    bench.scheduler.abort('b')
    expect(bench.step()).toMatch(/^c:9\+1 d:1\+1/)
  })

  test('nothing is admitted in a step that preempted', () => {
    const bench = new Bench({ numBlocks: 6, maxNumBatchedTokens: 64 })
    bench.add(8, 12)
    bench.step()
    bench.add(1)
    expect(bench.step()).toBe('a:1+1')
    expect(bench.scheduler.stats.preemptions).toBe(1)
    expect(bench.scheduler.stats.waiting).toBe(2)
  })

  test('an unfinished prompt takes blocks from a later one', () => {
    const bench = new Bench({ numBlocks: 11, maxNumBatchedTokens: 12 })
    const [, b, c] = bench.add(8, 16, 15)
    expect([bench.step(), bench.step()]).toEqual(['a:8+1 b:4', 'a:1+1 b:11'])
    expect(bench.scheduler.stats.waiting).toBe(1)
    bench.scheduler.abort('a')
    expect([bench.step(), bench.step()]).toEqual(['b:1+1 c:11', 'b:1+1 c:4+1'])
    while (c!.preemptions === 0) bench.step()
    expect(b!.preemptions).toBe(0)
  })

  test('an unfinished prompt waits for a later decode of the step that has the blocks', () => {
    const bench = new Bench({
      numBlocks: 9,
      maxSamples: 4,
      maxNumSeqs: 4,
      maxNumPartialPrefills: 2,
    })
    bench.scheduler.add(makeGroup('a', 24, { promptLogprobs: 0 }))
    bench.scheduler.add(makeGroup('b', 4, { maxTokens: 7 }))
    expect(bench.step()).toBe('a:4 b:3')
    for (let i = 0; i < 5; i++) expect(bench.step()).toBe('b:1+1 a:3')
    // One slot of a's fifth block is free; the sixth went to b, which gives it back at its end.
    expect(bench.step()).toBe('b:1+1 a:1')
    expect(bench.step()).toBe('b:1+1')
    expect(bench.step()).toBe('a:4+1')
    expect(bench.scheduler.stats.preemptions).toBe(0)
  })

  test('nothing new starts while an unfinished prompt finds no room', () => {
    const bench = new Bench({
      blockSize: 1,
      numBlocks: 16,
      maxSamples: 4,
      enableChunkedPrefill: false,
      maxNumPartialPrefills: 2,
    })
    bench.scheduler.add(makeGroup('a', 12, { promptLogprobs: 0, maxTokens: 2 }))
    bench.scheduler.add(makeGroup('b', 2, { maxTokens: 4 }))
    expect([bench.step(), bench.step(), bench.step()]).toEqual([
      'a:4 b:1',
      'b:1+1 a:3',
      'b:1+1 a:3',
    ])
    bench.scheduler.add(makeGroup('c', 1))
    // One block is left, a needs two: c would fit.
    expect([bench.step(), bench.step()]).toEqual(['b:1+1', 'b:1+1'])
    expect(bench.step()).toBe('a:2+1 c:1+1')
  })

  test('a lone sequence that fills the pool ends with length', () => {
    const bench = new Bench({ numBlocks: 3 })
    const [group] = bench.add(6)
    bench.finish()
    const [sequence] = group!.sequences
    // 8 tokens are computed; the ninth was drawn from the last of them.
    expect([sequence!.length, sequence!.finishReason]).toEqual([9, 'length'])
  })

  test('of a group that outgrows the pool the last sequences end with length', () => {
    const bench = new Bench({ numBlocks: 6 })
    const group = makeGroup('a', 6, { bestOf: 3, maxTokens: 1000 })
    bench.scheduler.add(group)
    bench.finish()
    expect(group.sequences.map(({ finishReason }) => finishReason)).toEqual(Array(3).fill('length'))
    // Shared block + 3 × 1, + 2 × 2, + 1 × 4 fit 5 blocks.
    expect(group.sequences.map(({ length }) => length)).toEqual([21, 13, 9])
  })

  test('canEverFit knows the pool and the sequences of a step', () => {
    const { scheduler } = new Bench({ numBlocks: 3 })
    expect(scheduler.canEverFit(8, 1, 1)).toBe(true)
    expect(scheduler.canEverFit(8, 2, 1)).toBe(false)
    expect(scheduler.canEverFit(7, null, 1)).toBe(true)
    expect(scheduler.canEverFit(9, 1, 1)).toBe(false)
    expect(scheduler.canEverFit(1, 1, 8)).toBe(true)
    expect(scheduler.canEverFit(1, 1, 9)).toBe(false)
    expect(() => scheduler.add(makeGroup('a', 9))).toThrow(
      /request a can never run: 1 sequences of 9 prompt tokens and a first drawn one, where 8 sequences and 8 tokens fit/,
    )
    expect(scheduler.hasWork).toBe(false)
  })
})
