import { describe, expect, test } from 'vitest'
import { mlfq, priority, type SchedulingPolicy } from '../lib/scheduling/policy.js'
import type { ScheduledStep } from '../lib/scheduling/scheduled-step.js'
import { TokenCost } from '../lib/scheduling/token-cost.js'
import { makeGroup, outputs } from './support/requests.js'
import { Bench, print } from './support/scheduler-bench.js'

const swapping = { hostBlocks: 21, preemptionMode: 'swap', maxNumBatchedTokens: 64 } as const

/** Copies of a step as `from→to`, host blocks marked. */
function copiesOf({ copiesBefore }: ScheduledStep): string[] {
  const name = (tier: number, block: number) => (tier === 0 ? `${block}` : `h${block}`)
  return copiesBefore.map((c) => `${name(c.fromTier, c.from)}→${name(c.toTier, c.to)}`)
}

describe('swapping', () => {
  test('the last group goes to the host whole, and comes back before anything new starts', () => {
    const bench = new Bench({ ...swapping, numBlocks: 7 })
    const [, b, c] = bench.add(8, 8, 8)
    expect(bench.step()).toBe('a:8+1 b:8+1 c:8+1')
    bench.add(1)

    // a and b need a block each: c, the latest, gives both of its own, which are read before a and b write.
    const out = bench.schedule()
    expect([print(out), copiesOf(out)]).toEqual(['a:1+1 b:1+1', ['6→h1', '5→h2']])
    bench.commit(out)
    expect(c!.state).toBe('swapped')
    expect(bench.scheduler.stats).toMatchObject({ running: 2, swapped: 1, waiting: 1 })
    expect(bench.scheduler.stats).toMatchObject({ swapOuts: 1, usedHostBlocks: 2 })
    for (let i = 0; i < 3; i++) bench.step()

    // Each has filled its three blocks: b goes too.
    expect(bench.step()).toBe('a:1+1')
    expect([b!.state, bench.scheduler.stats.usedHostBlocks]).toEqual(['swapped', 5])

    // b was preempted last and comes first; it goes on in the step that brings it back. Two blocks are
    // left: c needs three. d would fit, but nothing new starts while c is out.
    bench.scheduler.abort('a')
    const back = bench.schedule()
    expect([print(back), copiesOf(back)]).toEqual(['b:1+1', ['h3→1', 'h4→2', 'h5→5']])
    bench.commit(back)
    expect(bench.scheduler.stats).toMatchObject({ running: 1, swapped: 1, waiting: 1, swapIns: 1 })

    bench.scheduler.abort('b')
    expect(bench.step()).toBe('c:1+1 d:1+1')
    expect(bench.scheduler.stats).toMatchObject({ preemptions: 2, swapOuts: 2, swapIns: 2 })
    expect(outputs(c!)[0]).toHaveLength(2)
  })

  test('what the host has no room for is computed again', () => {
    const bench = new Bench({ ...swapping, numBlocks: 7, hostBlocks: 3 })
    const [, b, c] = bench.add(8, 8, 8)
    while (b!.preemptions === 0) bench.step()
    expect([b!.state, c!.state]).toEqual(['waiting', 'swapped'])
    expect(bench.scheduler.stats).toMatchObject({ waiting: 1, swapped: 1, usedHostBlocks: 2 })
  })

  test('a prompt that comes back takes what fits of it, where windows need more blocks on the way', () => {
    const cacheGroups = [{ kind: 'full' }, { kind: 'window', window: 1 }] as const
    const limits = { blockSize: 1, numBlocks: 18, maxNumBatchedTokens: 4 }
    const bench = new Bench({ ...swapping, ...limits, cacheGroups, policy: priority })
    bench.scheduler.add(makeGroup('a', Array<number>(15).fill(7), { priority: 1, bestOf: 2 }))
    for (let i = 0; i < 3; i++) bench.step()
    bench.scheduler.add(makeGroup('b', [7], { maxTokens: 1 }))
    expect(bench.step()).toBe('b:1+1')
    expect(bench.scheduler.stats).toMatchObject({ swapped: 1 })

    // Three tokens need six blocks beside the thirteen that came back; seventeen are all there are.
    expect(bench.step()).toBe('a:2')
  })

  test('a prompt that was cut in the middle goes on where it was', () => {
    const limits = { maxNumSeqs: 1, maxNumBatchedTokens: 9 }
    const bench = new Bench({ ...swapping, ...limits, policy: priority })
    bench.scheduler.add(makeGroup('b', 24, { priority: 1 }))
    expect(bench.step()).toBe('b:9')
    bench.scheduler.add(makeGroup('urgent', 4, { maxTokens: 1 }))
    expect(bench.step()).toBe('urgent:4+1')
    const step = bench.schedule()
    expect([print(step), step.sequences[0]!.start]).toEqual(['b:9', 9])
    bench.commit(step)
    bench.finish()
  })

  test('sequences of a group that share blocks share them on the host and after it', () => {
    const bench = new Bench({ ...swapping, numBlocks: 9 })
    bench.add(8)
    const group = makeGroup('z', 9, { bestOf: 3, maxTokens: 20 })
    bench.scheduler.add(group)
    while (group.preemptions === 0) bench.step()
    // Two full blocks of the prompt, and for each sequence one.
    expect(bench.scheduler.stats.usedHostBlocks).toBe(5)
    bench.scheduler.abort('a')
    bench.step()
    expect(bench.scheduler.stats.usedHostBlocks).toBe(0)
    const owners = group.sequences.map(({ blockTables: [table] }) => [...table!.subarray(0, 2)])
    expect(owners[1]).toEqual(owners[0])
    expect(owners[2]).toEqual(owners[0])
    bench.finish()
  })

  test.each([
    [3, 0],
    [4, 1],
  ])('with %d blocks taken of six, %d of three cached ones are copied back', (used, copies) => {
    const bench = new Bench({ ...swapping, numBlocks: 7, enablePrefixCaching: true })
    bench.scheduler.add(makeGroup('a', 8, { maxTokens: 1000 }))
    bench.scheduler.add(makeGroup('b', [9, 9, 9, 9, 8, 8, 8, 8, 7, 7], { maxTokens: 1000 }))
    while (bench.scheduler.stats.swapped === 0 || bench.scheduler.stats.usedBlocks < used)
      bench.step()
    bench.scheduler.abort('a')
    const step = bench.schedule()
    expect([print(step), copiesOf(step)]).toEqual(['b:1+1', Array(copies).fill('h1→5')])
    bench.commit(step)
    bench.finish()
  })
})

describe('the cost model', () => {
  test('learns what a token costs beside what a step costs', () => {
    const cost = new TokenCost()
    expect(cost.seconds).toBe(0)
    for (let i = 0; i < 10; i++) cost.learn(8, 4)
    expect(cost.seconds).toBeCloseTo(0.5)
    for (let i = 0; i < 100; i++) cost.learn(i, 3 + 0.01 * i)
    for (let i = 0; i < 1000; i++) cost.learn(i % 50, 3 + 0.01 * (i % 50))
    expect(cost.seconds).toBeCloseTo(0.01)
    const falling = new TokenCost()
    falling.learn(1, 2)
    falling.learn(2, 1)
    expect(falling.seconds).toBe(0)
  })

  test.each([
    [0.1, 'swapped'],
    [100, 'waiting'],
  ])('a block that takes %d steps to copy leaves its group %s', (blockCopySeconds, state) => {
    const bench = new Bench({ ...swapping, numBlocks: 7, preemptionMode: 'auto', blockCopySeconds })
    const [, , c] = bench.add(8, 8, 8)
    while (c!.preemptions === 0) bench.step()
    expect(c!.state).toBe(state)
  })

  test('the same requests draw the same tokens whichever way they come back', () => {
    const run = (options: object) => {
      const bench = new Bench({ ...swapping, numBlocks: 13, ...options })
      const groups = [9, 6, 3].map((length, i) =>
        makeGroup(`r${i}`, length, { maxTokens: 15, bestOf: 1 + (i % 2), seed: i }),
      )
      for (const group of groups) bench.scheduler.add(group)
      bench.finish()
      return { drawn: groups.map(outputs), stats: bench.scheduler.stats }
    }
    const { drawn } = run({ numBlocks: 101 })
    const swapped = run({})
    const recomputed = run({ preemptionMode: 'recompute' })
    expect(swapped.stats.swapOuts).toBeGreaterThan(0)
    expect(recomputed.stats.preemptions).toBeGreaterThan(0)
    expect([swapped.drawn, recomputed.drawn]).toEqual([drawn, drawn])
  })
})

describe('priority', () => {
  const one = { maxNumSeqs: 2, policy: priority, hostBlocks: 21, preemptionMode: 'swap' } as const
  const request = (id: string, level: number, length = 4) =>
    makeGroup(id, length, { priority: level, maxTokens: 1000 })

  test('the worst running group gives way to one that goes before it, and to no other', () => {
    const bench = new Bench(one)
    for (const [id, level] of Object.entries({ a: 1, b: 2 }))
      bench.scheduler.add(request(id, level))
    expect(bench.step()).toBe('a:4+1 b:4+1')
    bench.scheduler.add(request('late', 2))
    expect(bench.step()).toBe('a:1+1 b:1+1')
    bench.scheduler.add(request('urgent', 0))
    expect(bench.step()).toBe('a:1+1 urgent:4+1')
    expect(bench.step()).toBe('urgent:1+1 a:1+1')
    bench.scheduler.abort('a')
    expect(bench.step()).toBe('urgent:1+1 b:1+1')
    bench.scheduler.abort('urgent')
    expect(bench.step()).toBe('b:1+1 late:4+1')
  })

  test('several give way at once to several that go before them', () => {
    const bench = new Bench({ ...one, maxNumSeqs: 4, maxNumBatchedTokens: 64 })
    for (const id of ['a', 'b', 'c', 'd']) bench.scheduler.add(request(id, 1))
    bench.step()
    for (const id of ['e', 'f', 'g']) bench.scheduler.add(request(id, 0))
    expect(bench.step()).toBe('a:1+1 e:4+1 f:4+1 g:4+1')
  })

  test('blocks are given up as well as places', () => {
    const bench = new Bench({ ...one, numBlocks: 7, maxNumBatchedTokens: 64 })
    bench.scheduler.add(request('a', 1, 12))
    bench.scheduler.add(request('b', 2, 4))
    bench.step()
    bench.scheduler.add(request('urgent', 0, 12))
    // Two blocks are free, both owed to a and b; b alone gives back too few.
    expect(bench.step()).toBe('urgent:12+1')
    expect(bench.scheduler.stats).toMatchObject({ running: 1, swapped: 2 })
  })

  test('nobody gives way to a group that would find no room all the same', () => {
    const bench = new Bench({ ...one, numBlocks: 9, maxNumBatchedTokens: 64 })
    bench.scheduler.add(request('best', -1, 16))
    bench.scheduler.add(request('b', 2, 4))
    bench.step()
    bench.scheduler.add(request('urgent', 0, 24))
    expect(bench.step()).toBe('best:1+1 b:1+1')
    expect(bench.scheduler.stats.preemptions).toBe(0)
  })
})

describe('mlfq', () => {
  const options = { hostBlocks: 21, preemptionMode: 'swap', maxNumSeqs: 1 } as const

  test('a prompt joins the first level whose quantum holds it', () => {
    const { feedback } = mlfq({ quantum: 8 })
    const level = (promptLength: number) => {
      const group = makeGroup('a', promptLength)
      feedback!.arrive(group)
      return [group.level, group.allowance]
    }
    expect([1, 8, 9, 16, 17, 100].map(level)).toEqual([
      [0, 7],
      [0, 0],
      [1, 7],
      [1, 0],
      [2, 15],
      [4, 28],
    ])
  })

  test('who has used up a quantum sinks below those that have not', () => {
    const bench = new Bench({ ...options, policy: mlfq({ quantum: 4 }) })
    bench.add(2, 2)
    // a and b draw 2 tokens on level 0; then a, which came first, 8 on level 1, then b.
    const served = Array.from({ length: 2 + 2 + 8 + 8 + 16 }, () => bench.step().at(0))
    expect(served.join('')).toBe(`aabb${'a'.repeat(8)}${'b'.repeat(8)}${'a'.repeat(16)}`)
  })

  test('a short newcomer is served before a long request that runs', () => {
    const bench = new Bench({ ...options, policy: mlfq({ quantum: 4 }) })
    bench.add(2)
    for (let i = 0; i < 10; i++) bench.step()
    bench.scheduler.add(makeGroup('short', 2, { maxTokens: 2 }))
    expect([bench.step(), bench.step(), bench.step()]).toEqual(['short:2+1', 'short:1+1', 'a:1+1'])
  })

  test('under a stream of short requests a long one still ends in time', () => {
    const patience = 10
    const run = (policy: SchedulingPolicy) => {
      const bench = new Bench({ ...options, policy, maxNumSeqs: 2 })
      const long = makeGroup('long', 12, { maxTokens: 60 })
      bench.scheduler.add(long)
      let steps = 0
      for (; !long.finished && steps < 2000; steps++) {
        bench.scheduler.add(makeGroup(`s${steps}`, 2, { maxTokens: 2 }))
        bench.step()
      }
      return steps
    }
    // The short ones take every place; each promotion lets the long one draw a quantum of 4 tokens.
    expect(run(mlfq({ quantum: 4, patience }))).toBeLessThan(60 * (patience + 1))
    expect(run(mlfq({ quantum: 4, patience: 10_000 }))).toBe(2000)
  })

  test('however many wait for long, promoted groups get a quarter of the places', () => {
    const bench = new Bench({
      ...options,
      policy: mlfq({ quantum: 4, patience: 20 }),
      ...{ maxNumSeqs: 8, numBlocks: 501, hostBlocks: 2001, maxNumBatchedTokens: 64 },
    })
    const long = Array.from({ length: 40 }, (_, i) => makeGroup(`l${i}`, 9, { maxTokens: 200 }))
    for (const group of long) bench.scheduler.add(group)
    let promoted = 0
    let served = 0
    for (let step = 0; step < 400; step++) {
      bench.step()
      served += bench.scheduler.stats.running
      promoted += long.filter(({ state, level }) => state === 'running' && level === 0).length
    }
    expect(promoted / served).toBeGreaterThan(0.15)
    expect(promoted / served).toBeLessThan(0.3)
  })

  test('a quantum or patience below 1 is refused', () => {
    expect(() => mlfq({ quantum: 0 })).toThrow(
      'quantum: expected an integer of at least 1, found 0',
    )
    expect(() => mlfq({ patience: 0 })).toThrow(
      'patience: expected an integer of at least 1, found 0',
    )
    expect(() => mlfq({ quantum: 1.5 })).toThrow(RangeError)
  })
})

test('memory shares make one, and count shared blocks once', () => {
  const bench = new Bench({ numBlocks: 11 })
  const shares = () => bench.scheduler.stats.memory
  expect(shares()).toEqual({ tokenStates: 0, reserved: 0, internal: 0, external: 1 })
  bench.scheduler.add(makeGroup('a', 6, { bestOf: 2, maxTokens: 2 }))
  bench.step()
  // Two blocks of ten; of the last one a third token will be drawn and computed, the fourth never.
  expect(shares()).toEqual({
    tokenStates: 6 / 40,
    reserved: 1 / 40,
    internal: 1 / 40,
    external: 0.8,
  })
})
