import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BlockPool, NULL_BLOCK } from '../lib/scheduling/block-pool.js'
import { HashIndex } from '../lib/scheduling/hash-index.js'
import { runs } from './support/runs.js'

const numRuns = runs(1000)

/** The hash that stands for a content. Equal first words fall into one bucket. */
const hashOf = (content: number) => Int32Array.of(content & 3, content, 0, 0)

describe('BlockPool', () => {
  test('never hands out the null block', () => {
    const pool = new BlockPool(4)
    expect([pool.take(), pool.take(), pool.take()].sort()).toEqual([1, 2, 3])
    expect(pool.take()).toBe(NULL_BLOCK)
    expect([pool.used, pool.available, pool.cached]).toEqual([3, 0, 0])
  })

  test('a block returns when its last owner has gone, and is taken again first', () => {
    const pool = new BlockPool(4)
    const block = pool.take()
    pool.share(block)
    pool.release(block)
    expect(pool.available).toBe(2)
    pool.release(block)
    expect(pool.available).toBe(3)
    expect(pool.take()).toBe(block)
  })

  test('evicts a cached block only when no free one is left, the least recently used first', () => {
    const pool = new BlockPool(5)
    const [first, second, plain, last] = [pool.take(), pool.take(), pool.take(), pool.take()]
    pool.cache(first, hashOf(1), 0)
    pool.cache(second, hashOf(2), 0)
    for (const block of [second, first, plain]) pool.release(block)
    expect(pool.cached).toBe(2)
    expect(pool.take()).toBe(plain)
    expect(pool.find(hashOf(2), 0)).toBe(second)
    expect(pool.take()).toBe(second)
    expect(pool.find(hashOf(2), 0)).toBe(NULL_BLOCK)
    expect(pool.find(hashOf(1), 0)).toBe(first)
    pool.release(last)
    expect(pool.take()).toBe(last)
    pool.checkIntegrity()
  })

  test('using a cached block again makes it the most recently used', () => {
    const pool = new BlockPool(3)
    const [first, second] = [pool.take(), pool.take()]
    pool.cache(first, hashOf(1), 0)
    pool.cache(second, hashOf(2), 0)
    pool.release(first)
    pool.release(second)
    pool.share(first)
    pool.release(first)
    expect(pool.take()).toBe(second)
  })

  test('of two blocks with one content the first is found', () => {
    const pool = new BlockPool(3)
    const [first, second] = [pool.take(), pool.take()]
    pool.cache(first, hashOf(1), 0)
    pool.cache(second, hashOf(1), 0)
    expect(pool.find(hashOf(1), 0)).toBe(first)
    expect(pool.isCached(second)).toBe(false)
    pool.uncache(first)
    expect(pool.find(hashOf(1), 0)).toBe(NULL_BLOCK)
  })

  test('a reset makes every cached block free', () => {
    const pool = new BlockPool(3)
    const block = pool.take()
    pool.cache(block, hashOf(1), 0)
    pool.release(block)
    pool.uncacheAll()
    expect([pool.available, pool.cached]).toEqual([2, 0])
    expect(pool.find(hashOf(1), 0)).toBe(NULL_BLOCK)
    pool.checkIntegrity()
  })

  test('names a block that was released too often', () => {
    const pool = new BlockPool(3)
    const block = pool.take()
    pool.release(block)
    pool.release(block)
    expect(() => pool.checkIntegrity()).toThrow(/block 1 is available but has -1 owners/)
  })

  test('random programs agree with a list and a map', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(4), fc.nat(), fc.nat(9))), (program) => {
        const pool = new BlockPool(8)
        const owners = new Map<number, number>()
        const contents = new Map<number, number>()
        const used = () => [...owners.keys()]
        for (const [operation, pick, content] of program) {
          const block = used()[pick % Math.max(owners.size, 1)]
          if (operation === 0) {
            const taken = pool.take()
            expect(taken === NULL_BLOCK).toBe(owners.size === 7)
            if (taken === NULL_BLOCK) continue
            expect(owners.has(taken)).toBe(false)
            owners.set(taken, 1)
            for (const [key, value] of contents) if (value === taken) contents.delete(key)
          } else if (operation === 1) {
            const hit = pool.find(hashOf(content), 0)
            expect(hit).toBe(contents.get(content) ?? NULL_BLOCK)
            if (hit === NULL_BLOCK) continue
            pool.share(hit)
            owners.set(hit, (owners.get(hit) ?? 0) + 1)
          } else if (block === undefined) {
            continue
          } else if (operation === 2) {
            pool.cache(block, hashOf(content), 0)
            if (![...contents.values()].includes(block) && !contents.has(content))
              contents.set(content, block)
          } else if (operation === 3) {
            pool.uncache(block)
            for (const [key, value] of contents) if (value === block) contents.delete(key)
          } else {
            pool.release(block)
            if (owners.get(block) === 1) owners.delete(block)
            else owners.set(block, owners.get(block)! - 1)
          }
          pool.checkIntegrity()
          const idle = [...contents.values()].filter((one) => !owners.has(one))
          expect([pool.used, pool.cached]).toEqual([owners.size, idle.length])
        }
      }),
      { numRuns },
    )
  })
})

test('HashIndex removes from the middle of a chain', () => {
  const index = new HashIndex(8)
  for (const block of [1, 2, 3, 4]) index.insert(block, Int32Array.of(5, block, 0, 0), 0)
  index.remove(2)
  index.remove(4)
  const found = [1, 2, 3, 4].map((block) => index.find(Int32Array.of(5, block, 0, 0), 0))
  expect(found).toEqual([1, 0, 3, 0])
  expect([1, 2, 3, 4].map((block) => index.has(block))).toEqual([true, false, true, false])
})
