import { describe, expect, test } from 'vitest'
import type { SchedulingPolicy } from '../lib/scheduling/policy.js'
import type { Judge } from '../lib/scheduling/scheduler.js'
import { judge, makeGroup, outputs } from './support/requests.js'
import { Bench, print } from './support/scheduler-bench.js'

describe('what goes into a step', () => {
  test('a prompt is computed whole and draws a token, then one token a step', () => {
    const bench = new Bench()
    bench.add(7)
    expect([bench.step(), bench.step(), bench.step()]).toEqual(['a:7+1', 'a:1+1', 'a:1+1'])
  })

  test('decodes come first, then unfinished prompts, then new ones', () => {
    const bench = new Bench()
    bench.add(4)
    expect(bench.step()).toBe('a:4+1')
    bench.add(20)
    expect(bench.step()).toBe('a:1+1 b:15')
    bench.add(30)
    expect(bench.step()).toBe('a:1+1 b:5+1 c:10')
    expect(bench.step()).toBe('a:1+1 b:1+1 c:14')
    expect(bench.step()).toBe('a:1+1 b:1+1 c:6+1')
  })

  test('without chunked prefill a prompt waits until it fits the step whole', () => {
    const bench = new Bench({ enableChunkedPrefill: false })
    bench.add(10, 10, 3)
    expect(bench.step()).toBe('a:10+1')
    expect(bench.step()).toBe('a:1+1 b:10+1 c:3+1')
  })

  test('without chunked prefill a prompt longer than a step is cut, alone in its steps', () => {
    const bench = new Bench({ enableChunkedPrefill: false })
    bench.add(40, 3)
    expect(bench.step()).toBe('a:16')
    expect(bench.step()).toBe('a:16')
    expect(bench.step()).toBe('a:8+1 b:3+1')
  })

  test('no more sequences run than maxNumSeqs, the tokens and the sample rows of a step', () => {
    for (const limit of ['maxNumSeqs', 'maxNumBatchedTokens', 'maxSamples']) {
      const bench = new Bench({ [limit]: 3 })
      bench.add(1, 1, 1, 1, 1)
      bench.step()
      expect(bench.step()).toBe('a:1+1 b:1+1 c:1+1')
      expect(bench.scheduler.stats.waiting).toBe(2)
    }
  })

  test('a group counts all of its sequences', () => {
    const bench = new Bench({ maxNumSeqs: 4 })
    bench.scheduler.add(makeGroup('a', 3, { bestOf: 3 }))
    bench.scheduler.add(makeGroup('b', 3, { bestOf: 2 }))
    bench.scheduler.add(makeGroup('c', 3))
    expect(bench.step()).toBe('a:3+3')
    // First come, first served: c would fit, but b is first.
    expect(bench.step()).toBe('a:1+1 a1:1+1 a2:1+1')
  })

  test('prompt positions to score take sample rows, and cut the chunk that lacks them', () => {
    const bench = new Bench({ maxSamples: 6 })
    bench.scheduler.add(makeGroup('a', 12, { promptLogprobs: 0, maxTokens: 1 }))
    const rows: number[][] = []
    while (bench.scheduler.hasWork) {
      const step = bench.schedule()
      for (const { scoreStart, scoreCount, count, draws } of step.sequences) {
        rows.push([scoreStart, scoreCount, count, draws])
      }
      bench.commit(step)
    }
    expect(rows).toEqual([
      [0, 6, 6, 0],
      [6, 5, 6, 1],
    ])
  })

  test('the token to draw from waits for a step with a sample row for it', () => {
    const bench = new Bench({ maxSamples: 6 })
    bench.scheduler.add(makeGroup('a', 7, { promptLogprobs: 0 }))
    expect([bench.step(), bench.step()]).toEqual(['a:6', 'a:1+1'])
  })

  test('scored positions are counted in the rows and skipped by commit', () => {
    const bench = new Bench()
    const group = makeGroup('a', 5, { promptLogprobs: 0, maxTokens: 1 })
    bench.scheduler.add(group)
    const step = bench.schedule()
    expect([step.tokenCount, step.sampleCount]).toEqual([5, 5])
    const result = { tokenIds: Int32Array.of(2, 3, 4, 5, 42) }
    const rows: number[] = []
    bench.scheduler.commit(step, result, (_, token, row) => {
      rows.push(token, row)
      return { finishReason: 'length' }
    })
    expect(rows).toEqual([42, 4])
    expect(outputs(group)).toEqual([[42]])
  })
})

describe('unfinished prompts', () => {
  test('no prompt is started that would be the second unfinished one', () => {
    const bench = new Bench({ maxSamples: 4, maxNumSeqs: 4 })
    bench.scheduler.add(makeGroup('a', 8, { promptLogprobs: 0 }))
    bench.add(15)
    // b would be cut at 12 tokens.
    expect([bench.step(), bench.step()]).toEqual(['a:4', 'a:4+1 b:12'])
  })

  test('those that may be unfinished at once share what decodes leave of a step', () => {
    const bench = new Bench({ maxNumPartialPrefills: 3 })
    bench.add(4, 60, 60, 60, 60)
    // 4 of b's share of 16/3 go to a; who comes later gets what is left over.
    expect(bench.step()).toBe('a:4+1 b:6 c:6')
    expect(bench.step()).toBe('a:1+1 b:5 c:5 d:5')
    expect(bench.step()).toBe('a:1+1 b:5 c:5 d:5')
    expect(bench.scheduler.stats).toMatchObject({ running: 4, waiting: 1 })
  })

  test('a short prompt does not wait for a long one to be finished', () => {
    const bench = new Bench({ maxNumPartialPrefills: 2 })
    bench.add(100)
    expect(bench.step()).toBe('a:16')
    bench.add(5)
    expect(bench.step()).toBe('a:8 b:5+1')
  })
})

describe('policy', () => {
  test('another order changes who is served first and who gives way', () => {
    const shortest: SchedulingPolicy = {
      name: 'shortest',
      compare: (a, b) => a.promptLength - b.promptLength || a.arrival - b.arrival,
    }
    const bench = new Bench({ numBlocks: 7, maxNumBatchedTokens: 32, policy: shortest })
    const [long, middle, short] = bench.add(12, 8, 4)
    expect(bench.step()).toBe('c:4+1 b:8+1 a:12+1')
    expect(bench.step()).toBe('c:1+1 b:1+1')
    expect([long, middle, short].map((group) => group!.preemptions)).toEqual([1, 0, 0])
    bench.scheduler.abort('b')
    expect(bench.step()).toBe('c:1+1 a:13+1')
    bench.scheduler.abort('c')
    bench.scheduler.add(makeGroup('d', 2))
    expect([bench.step(), bench.step()]).toEqual(['a:1+1 d:2+1', 'd:1+1 a:1+1'])
  })
})

describe('parallel sampling', () => {
  test('the prompt is computed once, and the first draw forks it', () => {
    const bench = new Bench()
    const group = makeGroup('a', 8, { bestOf: 3, maxTokens: 3 })
    bench.scheduler.add(group)
    expect(bench.step()).toBe('a:8+3')
    expect(bench.scheduler.stats.usedBlocks).toBe(2)
    expect(bench.step()).toBe('a:1+1 a1:1+1 a2:1+1')
    expect(bench.scheduler.stats.copies).toBe(0)
    bench.finish()
    expect(new Set(outputs(group).map((tokens) => tokens.join())).size).toBe(3)
  })

  test('a prompt that ends within a block is copied n − 1 times, in one batch', () => {
    const bench = new Bench()
    bench.scheduler.add(makeGroup('a', 7, { bestOf: 3 }))
    bench.step()
    const step = bench.schedule()
    expect(step.copiesBefore).toHaveLength(2)
    bench.commit(step)
    expect(bench.schedule().copiesBefore).toEqual([])
    expect(bench.scheduler.stats.copies).toBe(2)
  })

  test('a preempted group forks again behind its prompt and draws nothing twice', () => {
    const bench = new Bench({ numBlocks: 10 })
    bench.add(6)
    const group = makeGroup('z', 7, { bestOf: 3, maxTokens: 12 })
    bench.scheduler.add(group)
    while (group.preemptions === 0) bench.step()
    const before = outputs(group)
    expect(before[0]!.length).toBeGreaterThan(1)
    bench.scheduler.abort('a')
    const rest = before[0]!.length
    expect(bench.step()).toBe('z:7')
    expect(bench.step()).toBe(`z:${rest}+1 z1:${rest}+1 z2:${rest}+1`)
    expect(outputs(group).map((tokens) => tokens.slice(0, rest))).toEqual(before)
    bench.finish()
  })

  test('a group that gives way in the middle of its copies leaves none in the step', () => {
    const bench = new Bench({ numBlocks: 7, maxNumSeqs: 16 })
    bench.add(7)
    bench.step()
    bench.scheduler.add(makeGroup('z', 6, { bestOf: 3 }))
    expect(bench.step()).toBe('a:1+1 z:6+3')
    // Two blocks are free: a takes one for its ninth token, z needs two copies.
    const step = bench.schedule()
    expect([print(step), step.copiesBefore]).toEqual(['a:1+1', []])
    expect(bench.scheduler.stats.copies).toBe(0)
    bench.commit(step)
    bench.finish()
  })

  test('a sequence that is ahead waits for the others of its group', () => {
    const bench = new Bench({ numBlocks: 10, maxNumBatchedTokens: 4, maxNumSeqs: 4 })
    bench.add(4)
    const group = makeGroup('z', 4, { bestOf: 3, maxTokens: 40 })
    bench.scheduler.add(group)
    while (group.preemptions === 0) bench.step()
    bench.scheduler.abort('a')
    const lengths = () => group.sequences.map(({ length }) => length)
    while (new Set(lengths()).size === 1) bench.step()
    const [ahead] = group.sequences
    expect(lengths()).toEqual([ahead!.length, ahead!.length - 1, ahead!.length - 1])
    const step = bench.schedule()
    expect(step.sequences.map(({ sequence }) => sequence)).not.toContain(ahead)
    bench.commit(step)
    bench.finish()
  })

  test('one sequence ends, the others go on', () => {
    const bench = new Bench()
    const group = makeGroup('a', 4, { bestOf: 2, maxTokens: 5 })
    bench.scheduler.add(group)
    bench.step((sequence) => (sequence.index === 0 ? { finishReason: 'stop' } : null))
    expect(bench.step()).toBe('a1:1+1')
    bench.finish()
    expect(group.sequences.map(({ finishReason }) => finishReason)).toEqual(['stop', 'length'])
  })
})

describe('the end of a request', () => {
  test('an ended sequence frees its blocks in the same commit', () => {
    const bench = new Bench()
    const group = makeGroup('a', 6, { maxTokens: 1 })
    bench.scheduler.add(group)
    bench.step()
    expect([bench.scheduler.stats.usedBlocks, bench.scheduler.hasWork]).toEqual([0, false])
    expect([group.finished, group.sequences[0]!.finishReason]).toEqual([true, 'length'])
    expect(bench.scheduler.schedule()).toBeNull()
  })

  test('abort in any state leaves nothing', () => {
    const bench = new Bench({ numBlocks: 5 })
    const groups = bench.add(7, 7, 4)
    bench.step()
    bench.step()
    bench.step()
    expect(groups.map(({ state }) => state)).toEqual(['running', 'waiting', 'waiting'])
    for (const id of ['c', 'b', 'a']) {
      expect(bench.scheduler.abort(id)).toBe(true)
      bench.scheduler.checkIntegrity()
    }
    expect(bench.scheduler.abort('a')).toBe(false)
    expect(groups.every(({ sequences }) => sequences[0]!.finishReason === 'abort')).toBe(true)
    bench.finish()
  })

  test('what was drawn for a request aborted meanwhile is dropped', () => {
    const bench = new Bench()
    const [a, b] = bench.add(3, 3)
    const step = bench.schedule()
    const result = bench.executor.run(step)
    bench.scheduler.abort('a')
    bench.scheduler.checkIntegrity()
    const judged: string[] = []
    const listen: Judge = ({ group }) => {
      judged.push(group.requestId)
      return null
    }
    bench.commit(step, listen, result)
    expect(judged).toEqual(['b'])
    expect([outputs(a!)[0]!.length, outputs(b!)[0]!.length]).toEqual([0, 1])
    expect(bench.step()).toBe('b:1+1')
  })

  test('an id can be used again while the step of the aborted request is in flight', () => {
    const bench = new Bench()
    bench.add(3)
    const step = bench.schedule()
    const result = bench.executor.run(step)
    bench.scheduler.abort('a')
    const [again] = bench.add(5)
    bench.commit(step, judge, result)
    expect(outputs(again!)).toEqual([[]])
    expect(bench.step()).toBe('a:5+1')
  })

  test('a judge may abort the request it is asked about', () => {
    const bench = new Bench()
    const group = makeGroup('a', 3, { bestOf: 3 })
    bench.scheduler.add(group)
    bench.add(3)
    bench.step(({ group: { requestId } }) => {
      if (requestId !== 'a') return null
      bench.scheduler.abort('a')
      return { finishReason: 'stop' }
    })
    expect(group.sequences.map(({ finishReason }) => finishReason)).toEqual(Array(3).fill('abort'))
    expect(bench.scheduler.stats.running).toBe(1)
  })
})

describe('a step ahead', () => {
  test('decodes from tokens that the step in flight is drawing', () => {
    const bench = new Bench()
    const [a] = bench.add(3)
    const first = bench.schedule()
    const second = bench.schedule()
    expect(print(second)).toBe('a:1+1')
    expect([...a!.leader.tokens.subarray(3, 4)]).toEqual([-1])
    const results = [bench.executor.run(first), bench.executor.run(second)]
    bench.commit(first, undefined, results[0])
    bench.commit(second, undefined, results[1])
    expect([...a!.leader.tokens.subarray(3, 5)]).toEqual(results.map(({ tokenIds }) => tokenIds[0]))
  })

  test('drops what it drew for a sequence that ended before it', () => {
    const bench = new Bench()
    const [a] = bench.add(3)
    const [first, second] = [bench.schedule(), bench.schedule()]
    const results = [bench.executor.run(first), bench.executor.run(second)]
    bench.commit(first, () => ({ finishReason: 'stop' }), results[0])
    bench.commit(second, () => ({ finishReason: 'error' }), results[1])
    expect(a!.sequences[0]).toMatchObject({ finishReason: 'stop', length: 4 })
    expect(bench.scheduler.stats).toMatchObject({ running: 0, usedBlocks: 0 })
  })

  test('draws nothing for a sequence whose last token is being drawn', () => {
    const bench = new Bench()
    bench.scheduler.add(makeGroup('a', 3, { maxTokens: 1 }))
    const first = bench.schedule()
    expect(bench.scheduler.canScheduleAhead).toBe(true)
    expect(bench.scheduler.schedule()).toBeNull()
    expect(bench.scheduler.canScheduleAhead).toBe(false)
    bench.commit(first)
    expect(bench.scheduler.hasWork).toBe(false)
  })

  test('leaves an aborted request without the token that was not drawn', () => {
    const bench = new Bench()
    const [a] = bench.add(3)
    const [first, second] = [bench.schedule(), bench.schedule()]
    const results = [bench.executor.run(first), bench.executor.run(second)]
    bench.scheduler.abort('a')
    expect(a!.sequences[0]).toMatchObject({ drawing: false, length: 3 })
    bench.commit(first, undefined, results[0])
    bench.commit(second, undefined, results[1])
  })

  test.each([
    ['several outputs', { bestOf: 2 }],
    ['scored prompts', { promptLogprobs: 0 }],
    ['bad words', { badWords: ['no'] }],
    ['penalties', { presencePenalty: 1 }],
  ])('is not scheduled for %s', (_, params) => {
    const bench = new Bench()
    bench.scheduler.add(makeGroup('a', 3, params))
    const first = bench.schedule()
    expect(bench.scheduler.canScheduleAhead).toBe(false)
    bench.commit(first)
  })
})

describe('misuse', () => {
  test('an id that is in use, and a group that was queued before', () => {
    const bench = new Bench()
    const [a] = bench.add(3)
    expect(() => bench.scheduler.add(makeGroup('a', 3))).toThrow(/request a is already queued/)
    bench.scheduler.abort('a')
    expect(() => bench.scheduler.add(a!)).toThrow(
      /request a is already queued, running or finished/,
    )
  })

  test('a third step before the first is committed, and a commit of another step', () => {
    const bench = new Bench()
    bench.add(3)
    const [first, second] = [bench.schedule(), bench.schedule()]
    expect(() => bench.scheduler.schedule()).toThrow(/last step is not committed/)
    const results = [bench.executor.run(first), bench.executor.run(second)]
    expect(() => bench.commit(second)).toThrow(/step 1 is not the next one/)
    bench.commit(first, undefined, results[0])
    expect(() => bench.commit(first)).toThrow(/step 0 is not the next one/)
  })

  test('checkIntegrity names a group that is miscounted', () => {
    const bench = new Bench()
    const [a] = bench.add(3)
    a!.live = 2
    expect(() => bench.scheduler.checkIntegrity()).toThrow(/request a counts 2 sequences, has 1/)
    a!.live = 1
    a!.state = 'running'
    expect(() => bench.scheduler.checkIntegrity()).toThrow(
      /request a is running, found in 1 places/,
    )
  })
})
