import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { LLMEngine, type EngineOptions, type SamplingOptions } from '../lib/index.js'
import { BeamSearch, type BeamSearchOptions, type Path } from '../lib/scheduling/beam-search.js'
import { blocksOfGroup } from '../lib/scheduling/group-memory.js'
import { fcfs, mlfq, type SchedulingPolicy } from '../lib/scheduling/policy.js'
import type { PreemptionMode } from '../lib/scheduling/preemption.js'
import { Scheduler } from '../lib/scheduling/scheduler.js'
import type { SequenceGroup } from '../lib/scheduling/sequence.js'
import { FakeExecutor, nextLogprobs } from './support/fake-executor.js'
import { EXACT, greedyCases, modelReference } from './support/models.js'
import { naiveBeams, type NaiveOptions } from './support/naive-beams.js'
import { judge, makeBeamGroup, makeGroup, outputs } from './support/requests.js'
import { runs } from './support/runs.js'

const numRuns = runs(300)
const VOCAB = 12

const searches: fc.Arbitrary<BeamSearchOptions> = fc.record({
  width: fc.integer({ min: 1, max: 5 }),
  lengthPenalty: fc.constantFrom(-1, 0, 0.5, 1, 2),
  earlyStopping: fc.constantFrom<(boolean | 'never')[]>(false, true, 'never'),
  maxTokens: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 16 })),
  minTokens: fc.constantFrom(0, 0, 3),
  endTokenIds: fc.uniqueArray(fc.nat(VOCAB - 1), { maxLength: 4 }).map((ids) => new Set(ids)),
})

/** What the toy model says after a prompt and each output. */
function toyAfter(prompt: readonly number[], seed: number) {
  return (all: readonly (readonly number[])[]) =>
    Promise.resolve(all.map((tokens) => nextLogprobs([...prompt, ...tokens], seed, VOCAB)))
}

function tokensOf(path: Path): number[] {
  return path.before === null ? [path.token] : [...tokensOf(path.before), path.token]
}

function bestOf(search: BeamSearch, width: number) {
  return search.best(width).map(({ path, score }) => {
    return { tokens: tokensOf(path), total: path.total, score }
  })
}

describe('the search', () => {
  test('finds what a search over whole vocabularies finds', async () => {
    const check = async (options: BeamSearchOptions, seed: number) => {
      const search = new BeamSearch(options)
      const carried: number[][] = Array.from({ length: options.width }, () => [])
      let live = [0]
      while (live.length > 0) {
        for (const carrier of live) search.offer(carrier, topRow(carried[carrier]!, search, seed))
        const moves = search.advance()
        const before = structuredClone(carried)
        for (const { from, to, token } of moves) carried[to] = [...before[from]!, token]
        live = moves.map(({ to }) => to)
        expect(new Set(live).size).toBe(search.over ? 0 : options.width)
      }
      const expected = await naiveBeams(toyAfter([], seed), options)
      expect(bestOf(search, options.width)).toEqual(expected)
    }
    await fc.assert(fc.asyncProperty(searches, fc.nat(1000), check), { numRuns })
  })

  test('a row needs no more tokens than the width and those that end an output', () => {
    const endTokenIds = new Set([1, 2, 3])
    const rules = { lengthPenalty: 1, earlyStopping: false, maxTokens: 9, minTokens: 0 } as const
    expect(new BeamSearch({ width: 4, endTokenIds, ...rules }).rowSize).toBe(7)
  })

  function topRow(tokens: readonly number[], { rowSize }: BeamSearch, seed: number) {
    const logprobs = nextLogprobs(tokens, seed, VOCAB)
    const ids = Array.from(logprobs.keys()).sort((a, b) => logprobs[b]! - logprobs[a]!)
    const top = Int32Array.from(ids.slice(0, rowSize))
    return { ids: top, logprobs: Float32Array.from(top, (id) => logprobs[id]!) }
  }
})

interface Traffic {
  readonly blockSize: number
  readonly spareBlocks: number
  readonly maxNumSeqs: number
  readonly maxNumBatchedTokens: number
  readonly enableChunkedPrefill: boolean
  readonly enablePrefixCaching: boolean
  readonly hostBlocks: number
  readonly preemptionMode: PreemptionMode
  readonly policy: SchedulingPolicy
  readonly requests: readonly {
    readonly prompt: readonly number[]
    /** null: two sequences are drawn. */
    readonly search: BeamSearchOptions | null
    readonly seed: number
    readonly arrivalStep: number
    readonly abortStep: number | null
  }[]
}

const traffics: fc.Arbitrary<Traffic> = fc.record({
  blockSize: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 16 })),
  spareBlocks: fc.oneof(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 8, max: 60 })),
  maxNumSeqs: fc.integer({ min: 5, max: 16 }),
  maxNumBatchedTokens: fc.integer({ min: 5, max: 64 }),
  enableChunkedPrefill: fc.boolean(),
  enablePrefixCaching: fc.boolean(),
  hostBlocks: fc.constantFrom(0, 12, 100),
  preemptionMode: fc.constantFrom<PreemptionMode>('swap', 'recompute'),
  policy: fc.constantFrom(fcfs, mlfq({ quantum: 8, patience: 20 })),
  requests: fc.array(
    fc.record({
      prompt: fc.array(fc.nat(2), { minLength: 1, maxLength: 20 }),
      search: fc.option(searches, { freq: 4 }),
      seed: fc.nat(3),
      arrivalStep: fc.nat(8),
      abortStep: fc.option(fc.nat(16), { freq: 5 }),
    }),
    { minLength: 1, maxLength: 6 },
  ),
})

function schedulerOf({ requests, spareBlocks, ...rest }: Traffic): [Scheduler, FakeExecutor] {
  const longest = Math.max(...requests.map(({ prompt }) => prompt.length + 1))
  const numBlocks = 1 + Math.ceil(longest / rest.blockSize) + spareBlocks
  const options = { ...rest, numBlocks, maxSamples: rest.maxNumSeqs, vocabSize: VOCAB }
  return [new Scheduler(options), new FakeExecutor(options)]
}

function replay(traffic: Traffic): [Scheduler, readonly SequenceGroup[]] {
  const [scheduler, executor] = schedulerOf(traffic)
  const groups = traffic.requests.map(({ prompt, search, seed }, i) =>
    search === null
      ? makeGroup(`r${i}`, prompt, { bestOf: 2, seed, maxTokens: 12 })
      : makeBeamGroup(`r${i}`, prompt, search, seed),
  )
  for (let now = 0; now <= 8 || scheduler.hasWork; now++) {
    if (now > 5000) throw new Error('the traffic does not end')
    traffic.requests.forEach(({ arrivalStep, abortStep }, i) => {
      if (arrivalStep === now) scheduler.add(groups[i]!)
      if (abortStep !== null && arrivalStep + abortStep === now) scheduler.abort(`r${i}`)
    })
    const step = scheduler.schedule()
    scheduler.checkIntegrity()
    if (step === null) continue
    scheduler.commit(step, executor.run(step), judge)
    scheduler.checkIntegrity()
  }
  return [scheduler, groups]
}

async function check(traffic: Traffic) {
  const [scheduler, groups] = replay(traffic)
  for (const [i, { prompt, search, seed, abortStep }] of traffic.requests.entries()) {
    if (search === null || abortStep !== null) continue
    const fits = (length: number) =>
      blocksOfGroup(scheduler.blocks, prompt.length, prompt.length + length, search.width) <=
      scheduler.blocks.pool.capacity
    const options: NaiveOptions = { ...search, fits }
    const expected = await naiveBeams(toyAfter(prompt, seed), options)
    expect(bestOf(groups[i]!.beams!, search.width)).toEqual(expected)
  }
  const { running, waiting, usedBlocks } = scheduler.stats
  expect([running, waiting, usedBlocks]).toEqual([0, 0, 0])
  return { scheduler, groups }
}

describe('in the scheduler', () => {
  test('every search finds in any company what it finds alone, and leaves nothing', async () => {
    const property = fc.asyncProperty(traffics, async (traffic) => {
      await check(traffic)
    })
    await fc.assert(property, { numRuns })
  })

  test('the traffic above preempts searches, copies, and runs out of pool', async () => {
    const seen = { preempted: 0, swapped: 0, copies: 0, hits: 0, cutByPool: 0 }
    for (const traffic of fc.sample(traffics, { numRuns: 300, seed: 1 })) {
      const { scheduler, groups } = await check(traffic)
      const searches = groups.filter(({ beams }) => beams !== null)
      seen.copies += scheduler.stats.copies
      seen.swapped += scheduler.stats.swapIns
      seen.hits += scheduler.stats.prefixCacheHits
      seen.preempted += searches.filter(({ preemptions }) => preemptions > 0).length
      seen.cutByPool += searches.filter(
        ({ sequences: [first] }) => first!.finishReason === 'length',
      ).length
    }
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(10)
  })

  test('a step copies at most one block a beam, and the last sharer writes in place', () => {
    const search = {
      ...{ width: 4, lengthPenalty: 1, earlyStopping: false, maxTokens: 40, minTokens: 40 },
      endTokenIds: new Set<number>(),
    }
    const options = { blockSize: 8, numBlocks: 200, maxNumBatchedTokens: 64, vocabSize: VOCAB }
    const scheduler = new Scheduler({ ...options, maxNumSeqs: 8, maxSamples: 8 })
    const executor = new FakeExecutor(options)
    const group = makeBeamGroup('a', [1, 2, 3, 4, 5], search)
    scheduler.add(group)
    const copies: number[] = []
    for (let step = scheduler.schedule(); step !== null; step = scheduler.schedule()) {
      copies.push(step.copiesBefore.length)
      const tails = group.sequences.map(({ blockTables, blockCounts }) => {
        return blockTables[0]?.[blockCounts[0]! - 1]
      })
      if (step.sequences.length === 4) expect(new Set(tails).size).toBe(4)
      scheduler.commit(step, executor.run(step), judge)
      scheduler.checkIntegrity()
    }
    expect(Math.max(...copies)).toBe(3)
    expect(copies.slice(1).some((count) => count === 0)).toBe(true)
    expect(outputs(group).every((tokens) => tokens.length === 39)).toBe(true)
  })
})

describe('in the engine', () => {
  const reference = modelReference('llama')
  const vocab = reference.nextLogits[0]!.length
  const base: EngineOptions = { ...EXACT, skipTokenizerInit: true, maxLogprobs: -1 }
  const engine = LLMEngine.load(reference.folder, base)
  afterAll(async () => (await engine).close())

  /** All log-probabilities after a prompt and each output, one token drawn at a time. */
  function engineAfter(prompt: readonly number[]) {
    return async (all: readonly (readonly number[])[]) => {
      const results = await (
        await engine
      ).generate(
        all.map((tokens) => ({ promptTokenIds: [...prompt, ...tokens] })),
        { maxTokens: 1, temperature: 0, logprobs: -1 },
      )
      return results.map(({ outputs: [output] }) =>
        Array.from({ length: vocab }, (_, id) => output!.logprobs![0]!.get(id)!.logprob),
      )
    }
  }

  const cases: readonly SamplingOptions[] = [
    { beamWidth: 2, n: 2, maxTokens: 12, ignoreEos: true },
    { beamWidth: 4, n: 4, maxTokens: 10, lengthPenalty: 0, ignoreEos: true },
    { beamWidth: 3, n: 2, maxTokens: 24, lengthPenalty: 2, stopTokenIds: endings(0) },
    { beamWidth: 3, n: 3, maxTokens: 24, earlyStopping: true, stopTokenIds: endings(1) },
    { beamWidth: 3, n: 3, maxTokens: 24, earlyStopping: 'never', stopTokenIds: endings(1) },
    { beamWidth: 1, maxTokens: 8, ignoreEos: true },
  ]

  /** Tokens that the model often writes, so that outputs end. */
  function endings(from: number): readonly number[] {
    const written = [...new Set(reference.greedy.flat())]
    return written.filter((_, i) => i % 3 === from)
  }

  test.each(cases)('%o: sequences and scores of a naive search', async (params) => {
    const prompts = reference.prompts
    const results = await (
      await engine
    ).generate(
      prompts.map((promptTokenIds) => ({ promptTokenIds })),
      { ignoreEos: true, ...params },
    )
    for (const [i, { outputs: found }] of results.entries()) {
      const expected = await naiveBeams(engineAfter(prompts[i]!), {
        width: params.beamWidth!,
        lengthPenalty: params.lengthPenalty ?? 1,
        earlyStopping: params.earlyStopping ?? false,
        maxTokens: params.maxTokens!,
        minTokens: 0,
        endTokenIds: new Set(params.stopTokenIds),
      })
      expect(
        found.map(({ tokenIds, cumulativeLogprob, score }) => {
          return { tokens: tokenIds, total: cumulativeLogprob, score }
        }),
      ).toEqual(expected.slice(0, params.n ?? 1))
      for (const { tokenIds, finishReason, stopReason } of found) {
        const last = tokenIds.at(-1)!
        const stopped = params.stopTokenIds?.includes(last) === true
        expect([finishReason, stopReason]).toEqual(stopped ? ['stop', last] : ['length', null])
      }
    }
    ;(await engine).checkIntegrity()
  })
})

describe('with models/demo', () => {
  const prompts = greedyCases('demo.json').map(({ prompt }) => prompt)
  const params: readonly SamplingOptions[] = prompts.map((_, i) => {
    if (i % 4 === 3) return { maxTokens: 30, n: 2, seed: i, ignoreEos: true }
    return { beamWidth: 2 + (i % 3), n: 2, maxTokens: 20 + i, ignoreEos: i % 2 === 0, logprobs: 2 }
  })

  async function run(options: EngineOptions, together = true) {
    const engine = await LLMEngine.load('demo', {
      ...EXACT,
      enablePrefixCaching: false,
      ...options,
    })
    const results = together ? await engine.generate(prompts, params) : []
    for (const [i, prompt] of together ? [] : prompts.entries()) {
      results.push(...(await engine.generate(prompt, params[i])))
    }
    engine.checkIntegrity()
    const stats = engine.stats()
    await engine.close()
    expect(stats.usedBlocks).toBe(0)
    return { outputs: results.map(({ outputs }) => outputs), stats }
  }

  const alone = run({}, false)

  test.each<[string, EngineOptions]>([
    ['all at once', {}],
    ['blocks of 1', { blockSize: 1 }],
    ['blocks of 8', { blockSize: 8 }],
    ['blocks of 32', { blockSize: 32 }],
    ['16 tokens a step', { maxNumBatchedTokens: 16 }],
    ['whole prompts only', { enableChunkedPrefill: false }],
    ['six at a time', { maxNumSeqs: 6 }],
    ['the prefix cache on', { enablePrefixCaching: true }],
  ])('%s: bitwise the same outputs', async (_, options) => {
    expect((await run(options)).outputs).toEqual((await alone).outputs)
  })

  test('preempted: bitwise the same outputs', async () => {
    const { outputs, stats } = await run({ numGpuBlocksOverride: 20 })
    expect(stats.preemptions).toBeGreaterThan(0)
    expect(outputs).toEqual((await alone).outputs)
  })

  test('a search of one beam where steps are scheduled ahead: the likeliest token each time', async () => {
    const engine = await LLMEngine.load('demo', { ...EXACT, asyncScheduling: true })
    const rules = { maxTokens: 20, ignoreEos: true }
    const [beam] = await engine.generate(prompts[0]!, { ...rules, beamWidth: 1 })
    const [greedy] = await engine.generate(prompts[0]!, { ...rules, temperature: 0 })
    expect(beam!.outputs[0]!.tokenIds).toEqual(greedy!.outputs[0]!.tokenIds)
    await engine.close()
  })

  test('texts, log-probabilities and scores belong to the tokens', async () => {
    const { outputs } = await alone
    for (const [i, all] of outputs.entries()) {
      if (params[i]!.beamWidth === undefined) continue
      for (const { tokenIds, logprobs, cumulativeLogprob, score, text } of all) {
        const chosen = tokenIds.map((id, at) => logprobs![at]!.get(id)!)
        const sum = chosen.reduce((total, { logprob }) => total + logprob, 0)
        expect(sum).toBe(cumulativeLogprob)
        expect(score).toBe(sum / tokenIds.length)
        expect(logprobs!.every((row) => row.size === 2 || row.size === 3)).toBe(true)
        expect(logprobs!.every((row) => [...row.values()].some(({ rank }) => rank === 1))).toBe(
          true,
        )
        expect(text.length).toBeGreaterThan(0)
      }
      expect(all[0]!.score).toBeGreaterThanOrEqual(all[1]!.score!)
    }
  })

  test('an aborted search shows its best beams so far, then frees them', async () => {
    const engine = await LLMEngine.load('demo', EXACT)
    engine.addRequest('a', 'Once upon a time', { beamWidth: 3, n: 2, maxTokens: 40 })
    for (let step = 0; step < 5; step++) {
      const [moved] = await engine.step()
      expect(moved!.outputs.map(({ tokenIds }) => tokenIds)).toEqual([[], []])
    }
    expect(engine.stats().usedBlocks).toBeGreaterThan(0)
    expect(engine.abort('a')).toBe(true)
    engine.checkIntegrity()
    expect(engine.stats().usedBlocks).toBe(0)
    const [ended] = await engine.step()
    expect(ended!.finished).toBe(true)
    for (const { tokenIds, finishReason, score, cumulativeLogprob } of ended!.outputs) {
      expect([tokenIds.length, finishReason]).toEqual([5, 'abort'])
      expect(score).toBe(cumulativeLogprob! / 5)
    }
    await engine.close()
  })

  test('beams are refused where they cannot work', async () => {
    const engine = await LLMEngine.load('demo', EXACT)
    expect(() => engine.stream('a', { beamWidth: 2 })).toThrow(
      new RangeError(
        'beamWidth: expected none when streaming, as beams are known at their end only, found 2',
      ),
    )
    const many = { beamWidth: 200, stopTokenIds: Array.from({ length: 1500 }, (_, id) => id) }
    await expect(engine.generate('a', many)).rejects.toThrow(
      /^beamWidth: expected at most \d+, the tokens that end no output, found 200$/,
    )
    await engine.close()
  })
})
