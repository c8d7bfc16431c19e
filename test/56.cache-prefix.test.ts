import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { EngineError, LLMEngine, type EngineOptions } from '../lib/index.js'
import { Scheduler } from '../lib/scheduling/scheduler.js'
import type { SequenceGroup } from '../lib/scheduling/sequence.js'
import { FakeExecutor, nextToken } from './support/fake-executor.js'
import { EXACT } from './support/models.js'
import { judge, makeGroup } from './support/requests.js'
import { runs } from './support/runs.js'

// Blocks of 8 tokens; the prefix of 30 fills three of them.
const BLOCK = 8
const PREFIX = Array.from({ length: 30 }, (_, i) => 100 + ((7 * i) % 90))
const FULL = 3

const engines: LLMEngine[] = []
afterEach(async () => {
  for (const engine of engines.splice(0)) {
    engine.checkIntegrity()
    await engine.close()
  }
})

async function load(options: EngineOptions = {}) {
  const engine = await LLMEngine.load('demo', { ...EXACT, blockSize: BLOCK, ...options })
  engines.push(engine)
  return engine
}

const prefix = { promptTokenIds: PREFIX }
const after = (...tokens: number[]) => ({ promptTokenIds: [...PREFIX, ...tokens] })
const other = (seed: number, length = 60) => ({
  promptTokenIds: Array.from({ length }, (_, i) => 200 + ((seed + 13 * i) % 400)),
})
const greedy = { temperature: 0, maxTokens: 6, ignoreEos: true }

async function cachedTokens(engine: LLMEngine, prompt: { promptTokenIds: number[] }) {
  const [output] = await engine.generate(prompt, greedy)
  engine.checkIntegrity()
  return output!.metrics.cachedTokens
}

describe('cachePrefix', () => {
  test('pins the whole blocks of a prompt, which requests then share', async () => {
    const engine = await load()
    const pinned = await engine.cachePrefix(prefix)
    expect(pinned.tokens).toBe(FULL * BLOCK)
    expect(engine.stats()).toMatchObject({ pinnedBlocks: FULL, usedBlocks: FULL })
    engine.checkIntegrity()
    expect(await cachedTokens(engine, after(1, 2, 3))).toBe(FULL * BLOCK)
    expect(await cachedTokens(engine, other(0))).toBe(0)
    expect(engine.stats()).toMatchObject({ pinnedBlocks: FULL, usedBlocks: FULL })
  })

  test('the tokens after a pinned prefix are those without one', async () => {
    const plain = await load({ enablePrefixCaching: false })
    const pinning = await load()
    await pinning.cachePrefix(prefix)
    const prompts = [after(1), after(2, 3), prefix]
    const expected = await plain.generate(prompts, greedy)
    const found = await pinning.generate(prompts, greedy)
    expect(found.map(({ outputs }) => outputs)).toEqual(expected.map(({ outputs }) => outputs))
  })

  test('other traffic evicts what is cached, but not what is pinned', async () => {
    const engine = await load({ numGpuBlocksOverride: 14 })
    await engine.cachePrefix(prefix)
    expect(await cachedTokens(engine, other(3))).toBe(0)
    expect(await cachedTokens(engine, other(3))).toBeGreaterThan(0)
    for (let seed = 10; seed < 16; seed++) await cachedTokens(engine, other(seed))
    expect(await cachedTokens(engine, other(3))).toBe(0)
    expect(await cachedTokens(engine, after(1))).toBe(FULL * BLOCK)
  })

  test('once released, a prefix stays cached until its memory is needed', async () => {
    const engine = await load({ numGpuBlocksOverride: 14 })
    const pinned = await engine.cachePrefix(prefix)
    pinned.release()
    expect(engine.stats()).toMatchObject({ pinnedBlocks: 0, usedBlocks: 0 })
    expect(await cachedTokens(engine, after(1))).toBe(FULL * BLOCK)
    for (let seed = 10; seed < 16; seed++) await cachedTokens(engine, other(seed))
    expect(await cachedTokens(engine, after(1))).toBe(0)
  })

  test('a second release is harmless, before and after the engine is closed', async () => {
    const engine = await load()
    const [first, second] = [await engine.cachePrefix(prefix), await engine.cachePrefix(prefix)]
    expect(engine.stats().pinnedBlocks).toBe(FULL)
    first.release()
    first.release()
    expect(engine.stats().pinnedBlocks).toBe(FULL)
    engine.checkIntegrity()
    await engine.close()
    second.release()
    second.release()
    expect(engine.stats()).toMatchObject({ pinnedBlocks: 0, usedBlocks: 0 })
  })

  test('a reset of the prefix cache keeps what is pinned', async () => {
    const engine = await load()
    await engine.cachePrefix(prefix)
    await cachedTokens(engine, other(3))
    engine.resetPrefixCache()
    engine.checkIntegrity()
    expect(engine.stats()).toMatchObject({ pinnedBlocks: FULL, cachedBlocks: 0 })
    expect(await cachedTokens(engine, other(3))).toBe(0)
    expect(await cachedTokens(engine, after(1))).toBe(FULL * BLOCK)
  })

  test('of one salt is not shared with another', async () => {
    const engine = await load()
    await engine.cachePrefix({ ...prefix, cacheSalt: 'a' })
    expect(await cachedTokens(engine, after(1))).toBe(0)
    const [output] = await engine.generate({ ...after(1), cacheSalt: 'a' }, greedy)
    expect(output!.metrics.cachedTokens).toBe(FULL * BLOCK)
  })

  test('a longer one shares the blocks of a shorter one', async () => {
    const engine = await load()
    const short = await engine.cachePrefix(prefix)
    const long = await engine.cachePrefix(after(...other(1, 18).promptTokenIds))
    expect([short.tokens, long.tokens]).toEqual([24, 48])
    expect(engine.stats().pinnedBlocks).toBe(6)
    short.release()
    expect(engine.stats().pinnedBlocks).toBe(6)
    expect(await cachedTokens(engine, after(1))).toBe(FULL * BLOCK)
  })

  test('a prompt shorter than a block pins nothing', async () => {
    const engine = await load()
    const pinned = await engine.cachePrefix({ promptTokenIds: [5, 6, 7] })
    expect([pinned.tokens, engine.stats().pinnedBlocks]).toEqual([0, 0])
    pinned.release()
  })

  test('a full pool beside it still serves everyone, with the same tokens', async () => {
    const prompts = Array.from({ length: 8 }, (_, i) => (i % 2 === 0 ? after(i) : other(i, 40)))
    const long = { ...greedy, maxTokens: 30 }
    const plain = await load({ enablePrefixCaching: false })
    const expected = await plain.generate(prompts, long)
    const engine = await load({ numGpuBlocksOverride: 13 })
    await engine.cachePrefix(prefix)
    const found = await engine.generate(prompts, long)
    expect(engine.stats().preemptions).toBeGreaterThan(0)
    expect(found.map(({ outputs }) => outputs)).toEqual(expected.map(({ outputs }) => outputs))
  })

  test('an output ends when it has filled what the pinned blocks leave', async () => {
    const engine = await load({ numGpuBlocksOverride: 10 })
    await engine.cachePrefix(prefix)
    const long = { ...greedy, maxTokens: 1000 }
    const outputs = await engine.generate([other(1, 8), after(1)], long)
    const lengths = outputs.map(({ promptTokenIds, outputs: [output] }) => {
      expect(output!.finishReason).toBe('length')
      return promptTokenIds.length + output!.tokenIds.length
    })
    expect(lengths).toEqual([7 * BLOCK + 1, 10 * BLOCK])
  })
})

describe('what is refused', () => {
  test('a request that does not fit beside the pinned blocks', async () => {
    const engine = await load({ numGpuBlocksOverride: 10 })
    const pinned = await engine.cachePrefix(prefix)
    await expect(engine.generate(other(1, 60), greedy)).rejects.toThrow(
      /cannot run beside 3 pinned blocks of 10/,
    )
    expect(await cachedTokens(engine, after(...other(1, 40).promptTokenIds))).toBe(FULL * BLOCK)
    pinned.release()
    expect(await cachedTokens(engine, other(1, 60))).toBe(0)
  })

  test('a prefix that leaves too little for a request under way', async () => {
    const engine = await load({ numGpuBlocksOverride: 10 })
    const refused = engine.cachePrefix(prefix)
    const large = engine.generate(other(3, 70), greedy)
    await expect(refused).rejects.toMatchObject({ code: 'out_of_memory' })
    expect(engine.stats().pinnedBlocks).toBe(0)
    engine.checkIntegrity()
    expect((await large)[0]!.outputs[0]!.tokenIds).toHaveLength(6)
  })

  test('without a prefix cache', async () => {
    const engine = await load({ enablePrefixCaching: false })
    await expect(engine.cachePrefix(prefix)).rejects.toThrow(
      new EngineError('not_supported', 'cachePrefix: needs enablePrefixCaching'),
    )
  })

  test('a bad prompt, a closed engine, an aborted signal: nothing stays pinned', async () => {
    const engine = await load()
    await expect(engine.cachePrefix({ promptTokenIds: [] })).rejects.toThrow(/at least one token/)
    const controller = new AbortController()
    const aborted = engine.cachePrefix(prefix, { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(aborted).rejects.toThrow('enough')
    engine.checkIntegrity()
    expect(engine.stats()).toMatchObject({ pinnedBlocks: 0, usedBlocks: 0 })
    await engine.close()
    await expect(engine.cachePrefix(prefix)).rejects.toMatchObject({ code: 'closed' })
  })
})

describe('random traffic beside pinned prefixes', () => {
  const VOCAB = 7
  const requests = fc.record({
    shared: fc.nat(24),
    tail: fc.array(fc.nat(VOCAB - 1), { minLength: 1, maxLength: 12 }),
    bestOf: fc.constantFrom(1, 1, 1, 3),
    maxTokens: fc.integer({ min: 1, max: 24 }),
    arrival: fc.nat(12),
    /** Steps that its prompt stays pinned for after it has ended; null: it is not pinned. */
    pinnedFor: fc.option(fc.nat(30), { freq: 2 }),
  })
  const traffics = fc.record({
    blockSize: fc.integer({ min: 1, max: 8 }),
    blocks: fc.integer({ min: 6, max: 40 }),
    hostBlocks: fc.constantFrom(0, 0, 30),
    maxNumBatchedTokens: fc.integer({ min: 4, max: 40 }),
    requests: fc.array(requests, { minLength: 2, maxLength: 10 }),
  })

  type Traffic = typeof traffics extends fc.Arbitrary<infer T> ? T : never

  function replay({ blocks, requests: all, ...rest }: Traffic) {
    const options = { ...rest, numBlocks: blocks + 1, maxNumSeqs: 4, maxSamples: 4 }
    const scheduler = new Scheduler(options)
    const executor = new FakeExecutor({ ...options, vocabSize: VOCAB })
    const groups = all.map(({ shared, tail, bestOf, maxTokens }, i) => {
      const prompt = [...Array.from({ length: shared }, (_, at) => at % VOCAB), ...tail]
      return makeGroup(`r${i}`, prompt, { bestOf, maxTokens, seed: i })
    })
    const added = new Set<SequenceGroup>()
    const pinnedUntil = new Map<SequenceGroup, number>()
    const seen = { pinned: 0, tooLarge: 0, refused: 0, preemptions: 0 }
    for (let now = 0; now <= 12 || scheduler.hasWork || pinnedUntil.size > 0; now++) {
      if (now > 3000) throw new Error('the traffic does not end')
      for (const [i, group] of groups.entries()) {
        const { arrival, pinnedFor } = all[i]!
        if (arrival === now) {
          try {
            scheduler.add(group)
            added.add(group)
          } catch (error) {
            expect(error).toBeInstanceOf(RangeError)
            seen.tooLarge++
          }
        }
        if (pinnedFor !== null && added.has(group) && group.finished) {
          added.delete(group)
          if (scheduler.pin(group) === null) seen.refused++
          else pinnedUntil.set(group, now + pinnedFor)
          seen.pinned = Math.max(seen.pinned, scheduler.stats.pinnedBlocks)
        }
        if (pinnedUntil.get(group) === now) {
          scheduler.unpin(group)
          pinnedUntil.delete(group)
        }
      }
      scheduler.checkIntegrity()
      const step = scheduler.schedule()
      scheduler.checkIntegrity()
      if (step === null) {
        expect(scheduler.hasWork).toBe(false)
        continue
      }
      scheduler.commit(step, executor.run(step), judge)
      scheduler.checkIntegrity()
    }
    expect(scheduler.stats).toMatchObject({ pinnedBlocks: 0, usedBlocks: 0 })
    seen.preemptions = scheduler.stats.preemptions
    for (const [i, group] of groups.entries()) expectDrawn(group, i)
    return seen
  }

  function expectDrawn({ sequences, promptLength }: SequenceGroup, seed: number) {
    for (const { tokens, length, index } of sequences) {
      for (let at = promptLength; at < length; at++) {
        expect(tokens[at]).toBe(nextToken(tokens.subarray(0, at), seed, index, VOCAB))
      }
    }
  }

  test('ends, draws what it would draw alone, and leaves nothing', () => {
    fc.assert(
      fc.property(traffics, (traffic) => {
        replay(traffic)
      }),
      { numRuns: runs(300) },
    )
  })

  test('pins blocks, preempts, and refuses what would not fit', () => {
    const all = { pinned: 0, tooLarge: 0, refused: 0, preemptions: 0 }
    for (const traffic of fc.sample(traffics, { numRuns: 300, seed: 1 })) {
      const seen = replay(traffic)
      for (const name of Object.keys(all) as (keyof typeof all)[]) all[name] += seen[name]
    }
    for (const count of Object.values(all)) expect(count).toBeGreaterThan(5)
  })
})
