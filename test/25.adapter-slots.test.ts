import { describe, expect, test } from 'vitest'
import { priority } from '../lib/scheduling/policy.js'
import type { SchedulerOptions } from '../lib/scheduling/scheduler.js'
import { fakeAdapter, makeGroup } from './support/requests.js'
import { Bench, print } from './support/scheduler-bench.js'

const [sql, chat, code] = [fakeAdapter('sql'), fakeAdapter('chat'), fakeAdapter('xcode')] as const

function bench(adapterSlots: number, options: Partial<SchedulerOptions> = {}) {
  const bench = new Bench({ adapterSlots, ...options })
  const add = (requestId: string, adapter: typeof sql | null, maxTokens = 3, priority = 0) => {
    const group = makeGroup(requestId, 4, { maxTokens, adapter, priority })
    bench.scheduler.add(group)
    return group
  }
  /** A step and the adapters that are loaded before it. */
  const step = () => {
    const step = bench.schedule()
    bench.commit(step)
    return [print(step), ...step.adapterLoads.map(({ slot, adapter }) => `${adapter.name}→${slot}`)]
  }
  return { scheduler: bench.scheduler, add, step, finish: () => bench.finish() }
}

describe('slots of adapters', () => {
  test('an adapter is loaded before the first step that wants it, and stays', () => {
    const { add, step, finish } = bench(2)
    add('a', sql)
    expect(step()).toEqual(['a:4+1', 'sql→0'])
    add('b', sql)
    add('c', null)
    expect(step()).toEqual(['c:4+1 a:1+1 b:4+1'])
    finish()
    add('d', sql)
    expect(step()).toEqual(['d:4+1'])
  })

  test('sequences of one adapter stand together in a step, those without one first', () => {
    const { add, step } = bench(2, { maxNumBatchedTokens: 64 })
    add('a', sql)
    add('b', chat)
    add('c', null)
    add('d', sql)
    expect(step()).toEqual(['c:4+1 a:4+1 d:4+1 b:4+1', 'sql→0', 'chat→1'])
  })

  test('the one that was used longest ago gives way', () => {
    const { add, step, finish } = bench(2)
    add('a', sql, 1)
    add('b', chat, 1)
    finish()
    add('c', sql, 1)
    finish()
    add('d', code, 1)
    expect(step()).toEqual(['d:4+1', 'xcode→1'])
    add('e', sql, 1)
    expect(step()).toEqual(['e:4+1'])
  })

  test('a request waits for a slot, and nobody overtakes it', () => {
    const { add, step, scheduler } = bench(1)
    add('a', sql)
    add('b', chat, 2)
    add('c', sql)
    expect(step()).toEqual(['a:4+1', 'sql→0'])
    expect(scheduler.stats).toMatchObject({
      runningAdapters: ['sql'],
      waitingAdapters: ['chat', 'sql'],
    })
    expect(step()).toEqual(['a:1+1'])
    expect(step()).toEqual(['a:1+1'])
    expect(step()).toEqual(['b:4+1', 'chat→0'])
    expect(step()).toEqual(['b:1+1'])
    expect(step()).toEqual(['c:4+1', 'sql→0'])
  })

  test('a preempted group gives its slot back, so that who goes before it can run', () => {
    const { add, step, finish, scheduler } = bench(1, { numBlocks: 5 })
    const [a, b] = [add('a', sql, 9), add('b', sql, 9)]
    expect(step()).toEqual(['a:4+1 b:4+1', 'sql→0'])
    while (b.state === 'running') step()
    expect([a.adapterSlot, b.adapterSlot]).toEqual([0, -1])
    scheduler.abort('a')
    expect(a.adapterSlot).toBe(-1)
    finish()
  })

  test('groups give their slot to one that goes before them, and those without an adapter stay', () => {
    const { add, step, finish } = bench(2, { policy: priority })
    const running = [add('a', sql, 9, 1), add('b', chat, 9, 3), add('c', chat, 9, 2)]
    add('plain', null, 9, 4)
    expect(step()).toEqual(['plain:4+1 a:4+1 c:4+1 b:4+1', 'sql→0', 'chat→1'])
    add('late', code, 9, 2)
    expect(step()).toEqual(['plain:1+1 a:1+1 c:1+1 b:1+1'])
    add('first', code, 2, 0)
    expect(step()).toEqual(['plain:1+1 a:1+1 first:4+1', 'xcode→1'])
    expect(running.map(({ state }) => state)).toEqual(['running', 'waiting', 'waiting'])
    expect(step()).toEqual(['plain:1+1 a:1+1 first:1+1'])
    expect(step()).toEqual(['plain:1+1 a:1+1 c:6+1', 'chat→1'])
    finish()
  })

  test('an adapter that failed to load is loaded anew', () => {
    const { add, step, scheduler } = bench(1)
    add('a', sql)
    step()
    scheduler.adapters.forget(sql)
    scheduler.abort('a')
    add('b', sql)
    expect(step()).toEqual(['b:4+1', 'sql→0'])
  })
})
