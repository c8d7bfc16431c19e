import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Scheduler, type SchedulerOptions } from '../lib/scheduling/scheduler.js'
import type { ScheduledStep } from '../lib/scheduling/scheduled-step.js'
import type { StepResult } from '../lib/native/executor.js'
import { fcfs, mlfq, priority } from '../lib/scheduling/policy.js'
import type { PreemptionMode } from '../lib/scheduling/preemption.js'
import type { SequenceGroup } from '../lib/scheduling/sequence.js'
import { CacheLayout } from '../lib/scheduling/cache-layout.js'
import { FakeExecutor, nextRepeated, shiftOf } from './support/fake-executor.js'
import { cacheGroups, fakeAdapter, judge, makeGroup, outputs } from './support/requests.js'
import { runs } from './support/runs.js'

const numRuns = runs(1000)
const vocabSize = 11
const stopToken = 0
const adapters = ['A', 'B', 'C'].map(fakeAdapter)

interface Traffic {
  readonly options: SchedulerOptions
  readonly requests: readonly Request[]
  /** Whether a step is scheduled before the one in flight is committed, where that can be. */
  readonly ahead: boolean
}

interface Request {
  readonly arrivalStep: number
  readonly prompt: readonly number[]
  readonly bestOf: number
  readonly maxTokens: number
  readonly stops: boolean
  readonly seed: number
  readonly promptLogprobs: boolean
  readonly priority: number
  readonly cacheKey: string
  readonly adapter: (typeof adapters)[number] | null
  /** Aborted so many steps after its arrival, before a step or while one is in flight. */
  readonly abort: { readonly steps: number; readonly inFlight: boolean } | null
}

/** Prompts of few families, so that many share a beginning. */
const prompts = fc
  .record({
    family: fc.integer({ min: 1, max: 2 }),
    shared: fc.oneof(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 40 })),
    tail: fc.array(fc.integer({ min: 0, max: vocabSize - 1 }), { maxLength: 12 }),
  })
  .map(({ family, shared, tail }) => [
    ...Array.from({ length: shared }, (_, i) => (i * family) % vocabSize),
    ...tail,
    family,
  ])

const requests: fc.Arbitrary<Request> = fc.record({
  arrivalStep: fc.integer({ min: 0, max: 12 }),
  prompt: prompts,
  bestOf: fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 4 })),
  maxTokens: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 8, max: 40 })),
  stops: fc.oneof({ weight: 2, arbitrary: fc.constant(false) }, fc.constant(true)),
  seed: fc.integer({ min: 0, max: 3 }),
  promptLogprobs: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.constant(true)),
  priority: fc.integer({ min: -1, max: 1 }),
  cacheKey: fc.constantFrom('', '', '', 'salt'),
  adapter: fc.option(fc.constantFrom(...adapters), { freq: 2 }),
  abort: fc.option(fc.record({ steps: fc.nat(20), inFlight: fc.boolean() }), { freq: 5 }),
})

const traffics: fc.Arbitrary<Traffic> = fc
  .record({
    blockSize: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 32 })),
    spareBlocks: fc.oneof(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 40 })),
    cacheGroups,
    maxNumSeqs: fc.integer({ min: 4, max: 24 }),
    maxNumBatchedTokens: fc.integer({ min: 4, max: 90 }),
    maxSamples: fc.integer({ min: 4, max: 32 }),
    enableChunkedPrefill: fc.boolean(),
    enablePrefixCaching: fc.boolean(),
    watermark: fc.constantFrom(0, 0.01, 0.3),
    hostBlocks: fc.oneof(fc.constant(0), fc.integer({ min: 2, max: 12 }), fc.constant(200)),
    preemptionMode: fc.constantFrom<PreemptionMode>('auto', 'recompute', 'swap'),
    blockCopySeconds: fc.constantFrom(0, 0.5, 10),
    policy: fc.oneof(
      fc.constantFrom(fcfs, priority),
      fc
        .record({
          quantum: fc.integer({ min: 1, max: 20 }),
          patience: fc.integer({ min: 1, max: 40 }),
        })
        .map(mlfq),
    ),
    maxNumPartialPrefills: fc.integer({ min: 1, max: 3 }),
    drafting: fc.option(
      fc.record({
        numSpeculativeTokens: fc.integer({ min: 1, max: 20 }),
        promptLookupMin: fc.integer({ min: 1, max: 2 }),
        promptLookupMax: fc.integer({ min: 2, max: 4 }),
      }),
    ),
    recomputeBeyond: fc.option(fc.integer({ min: 1, max: 60 }), { freq: 5, nil: Infinity }),
    adapterSlots: fc.integer({ min: 1, max: 3 }),
    requests: fc.array(requests, { minLength: 1, maxLength: 10 }),
    ahead: fc.boolean(),
  })
  .map(({ spareBlocks, requests, ahead, drafting, ...others }) => {
    const keepsStates = others.cacheGroups.some(({ kind }) => kind === 'state')
    const options = { ...others, speculation: keepsStates ? null : drafting }
    const longest = Math.max(...requests.map(({ prompt }) => prompt.length + 1))
    const blocks = layoutOf(options).blocksHeld(longest)
    return { options: { ...options, numBlocks: 1 + blocks + spareBlocks }, requests, ahead }
  })

function layoutOf(
  options: Pick<SchedulerOptions, 'blockSize' | 'cacheGroups' | 'enableChunkedPrefill'>,
): CacheLayout {
  return new CacheLayout(options.blockSize, options.cacheGroups, !options.enableChunkedPrefill)
}

/** What a request draws with the machine to itself: no cache, no blocks, no batch. */
function drawnAlone(request: Request, options: Traffic['options']) {
  const { prompt, maxTokens, stops, seed, adapter } = request
  const layout = layoutOf(options)
  const tokens = Array.from({ length: request.bestOf }, (): number[] => [])
  const reasons = tokens.map((): string | null => null)
  const live = () => reasons.flatMap((reason, i) => (reason === null ? [i] : []))
  while (live().length > 0) {
    for (const i of live()) {
      const history = [...prompt, ...tokens[i]!].map((token) => token + shiftOf(adapter))
      const token = nextRepeated(history, seed, i, vocabSize)
      tokens[i]!.push(token)
      if (stops && token === stopToken) reasons[i] = 'stop'
      else if (tokens[i]!.length === maxTokens) reasons[i] = 'length'
    }
    const length = prompt.length + Math.max(...live().map((i) => tokens[i]!.length), 0)
    const needed = () => layout.blocksHeldBy(live().length, length, prompt.length)
    while (live().length > 0 && needed() > options.numBlocks - 1) {
      reasons[live().at(-1)!] = 'length'
    }
  }
  return { tokens, reasons }
}

interface Flight {
  readonly step: ScheduledStep
  readonly result: StepResult
}

type Disturb = (step: ScheduledStep) => ScheduledStep

class Replay {
  readonly scheduler: Scheduler
  readonly executor: FakeExecutor
  readonly groups: readonly SequenceGroup[]
  readonly scored: number[][]
  readonly #traffic: Traffic
  readonly #disturb: Disturb
  #ahead: Flight | null = null
  stepsAhead = 0
  /** Names of the adapters as they were loaded. */
  readonly loads: string[] = []
  /** Steps beside which adapters waited that were in no slot. */
  waited = 0

  /** @param disturb changes each step on its way to the executor */
  constructor(traffic: Traffic, disturb: Disturb = (step) => step) {
    this.#traffic = traffic
    this.#disturb = disturb
    this.scheduler = new Scheduler(traffic.options)
    this.executor = new FakeExecutor({ ...traffic.options, vocabSize, model: nextRepeated })
    this.groups = traffic.requests.map((request, i) =>
      makeGroup(`r${i}`, request.prompt, {
        bestOf: request.bestOf,
        maxTokens: request.maxTokens,
        stopTokenIds: request.stops ? [stopToken] : [],
        seed: request.seed,
        promptLogprobs: request.promptLogprobs ? 0 : null,
        priority: request.priority,
        cacheKey: request.cacheKey,
        adapter: request.adapter,
      }),
    )
    this.scored = this.groups.map(() => [])
  }

  run(): void {
    const { requests } = this.#traffic
    const lastArrival = Math.max(...requests.map(({ arrivalStep }) => arrivalStep))
    for (let now = 0; now <= lastArrival || this.scheduler.hasWork || this.#ahead; now++) {
      if (now > 20_000) throw new Error('the traffic does not end')
      requests.forEach(({ arrivalStep }, i) => {
        if (arrivalStep === now) this.scheduler.add(this.groups[i]!)
      })
      this.#abort(now, false)
      this.#step(now)
    }
  }

  #step(now: number): void {
    const { scheduler } = this
    const flight = this.#ahead ?? this.#submit()
    if (flight === null) {
      expect(scheduler.hasWork).toBe(false)
      return
    }
    this.#ahead = this.#traffic.ahead && scheduler.canScheduleAhead ? this.#submit() : null
    if (this.#ahead !== null) this.stepsAhead++
    const { step, result } = flight
    this.#abort(now, true)
    scheduler.checkIntegrity()
    scheduler.commit(step, result, judge)
    scheduler.checkIntegrity()
    for (const group of this.groups) expectInPace(group)
  }

  #submit(): Flight | null {
    const step = this.scheduler.schedule()
    this.scheduler.checkIntegrity()
    if (step === null) return null
    this.#checkStep(step)
    this.loads.push(...step.adapterLoads.map(({ adapter }) => adapter.name))
    const { runningAdapters, waitingAdapters } = this.scheduler.stats
    if (waitingAdapters.some((name) => !runningAdapters.includes(name))) this.waited++
    return { step, result: this.executor.run(this.#disturb(step)) }
  }

  #abort(now: number, inFlight: boolean): void {
    this.#traffic.requests.forEach(({ abort, arrivalStep }, i) => {
      if (abort?.inFlight !== inFlight || arrivalStep + abort.steps !== now) return
      const alive = !this.groups[i]!.finished
      expect(this.scheduler.abort(`r${i}`)).toBe(alive)
    })
  }

  #checkStep(step: ScheduledStep): void {
    const { options } = this.#traffic
    expect(step.sequences.length).toBeGreaterThan(0)
    expect(new Set(step.sequences.map(({ sequence }) => sequence)).size).toBe(step.sequences.length)
    expect(step.tokenCount).toBe(step.sequences.reduce((sum, { count }) => sum + count, 0))
    expect(step.tokenCount).toBeLessThanOrEqual(options.maxNumBatchedTokens)
    expect(step.sampleCount).toBeLessThanOrEqual(options.maxSamples)
    for (const { sequence, scoreStart, scoreCount, start, count, drafts } of step.sequences) {
      const { group } = sequence
      expect(start + count).toBeLessThanOrEqual(drafts > 0 ? group.maxLength - 1 : Infinity)
      if (drafts > 0 && !group.long)
        expect(start + count).toBeLessThanOrEqual(options.recomputeBeyond!)
      const scored = this.scored[this.groups.indexOf(sequence.group)]!
      for (let i = 0; i < scoreCount; i++) scored.push(scoreStart + i)
    }
  }
}

/** The sequences of a group draw together: none is more than the token of one step ahead. */
function expectInPace(group: SequenceGroup): void {
  const lengths = group.sequences.filter((one) => !one.finished).map(({ length }) => length)
  if (lengths.length > 0) expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThan(2)
}

function check(traffic: Traffic, disturb?: Disturb): Replay {
  const replay = new Replay(traffic, disturb)
  replay.run()
  traffic.requests.forEach((request, i) => {
    const group = replay.groups[i]!
    const alone = drawnAlone(request, traffic.options)
    const reasons = group.sequences.map(({ finishReason }) => finishReason)
    outputs(group).forEach((tokens, j) => {
      const expected = alone.tokens[j]!
      const aborted = reasons[j] === 'abort'
      expect(tokens).toEqual(aborted ? expected.slice(0, tokens.length) : expected)
      if (!aborted) expect(reasons[j]).toBe(alone.reasons[j])
      else expect(request.abort).not.toBeNull()
    })
    const positions = request.promptLogprobs ? request.prompt.slice(1).map((_, p) => p) : []
    const ended = reasons.some((reason) => reason !== 'abort')
    expect(replay.scored[i]).toEqual(
      ended ? positions : positions.slice(0, replay.scored[i]!.length),
    )
  })
  const { stats } = replay.scheduler
  expect(stats).toMatchObject({ running: 0, waiting: 0, swapped: 0 })
  expect(stats).toMatchObject({ usedBlocks: 0, usedHostBlocks: 0 })
  return replay
}

test('a group that was swapped out while its prompt was computed again goes on, its first output a token ahead', () => {
  const request: Request = {
    ...{ arrivalStep: 0, prompt: [1], bestOf: 2, maxTokens: 8, stops: false, seed: 0 },
    ...{ promptLogprobs: false, priority: 0, cacheKey: '', adapter: null, abort: null },
  }
  const options: Traffic['options'] = {
    ...{ blockSize: 3, numBlocks: 8, hostBlocks: 3, blockCopySeconds: 0, watermark: 0 },
    ...{ maxNumSeqs: 4, maxNumBatchedTokens: 4, maxSamples: 4, enableChunkedPrefill: false },
    enablePrefixCaching: false,
    policy: mlfq({ patience: 1, quantum: 1 }),
    recomputeBeyond: Infinity,
  }
  const prompt = Array.from({ length: 18 }, (_, i) => i % vocabSize)
  const requests = [
    request,
    { ...request, prompt: [0, 0, 0, 0, 1], bestOf: 3 },
    { ...request, prompt, maxTokens: 1, stops: true },
  ]
  check({ options, requests, ahead: false })
})

describe('random traffic', () => {
  test('every request draws what it would draw alone, and leaves nothing', () => {
    fc.assert(
      fc.property(traffics, (traffic) => void check(traffic)),
      { numRuns },
    )
  })

  test('the traffic above preempts, forks, copies, hits the cache and runs out of pool', () => {
    const seen = {
      preemptions: 0,
      recomputed: 0,
      swapOuts: 0,
      swapIns: 0,
      copies: 0,
      hits: 0,
      cutByPool: 0,
      preemptedForks: 0,
      stepsAhead: 0,
      drafts: 0,
      rejectedDrafts: 0,
      acceptedTokens: 0,
      preemptedDrafting: 0,
      adapterLoads: 0,
      loadedAgain: 0,
      waitingAdapters: 0,
    }
    for (const traffic of fc.sample(traffics, { numRuns: 100, seed: 1 })) {
      const { scheduler, groups, stepsAhead, loads, waited } = check(traffic)
      seen.stepsAhead += stepsAhead
      seen.adapterLoads += loads.length
      seen.loadedAgain += loads.length - new Set(loads).size
      seen.waitingAdapters += waited
      seen.preemptions += scheduler.stats.preemptions
      seen.recomputed += scheduler.stats.preemptions - scheduler.stats.swapOuts
      seen.swapOuts += scheduler.stats.swapOuts
      seen.swapIns += scheduler.stats.swapIns
      seen.drafts += scheduler.stats.drafts
      seen.rejectedDrafts += scheduler.stats.draftTokens - scheduler.stats.acceptedTokens
      seen.acceptedTokens += scheduler.stats.acceptedTokens
      if (scheduler.stats.acceptedTokens > 0)
        seen.preemptedDrafting += groups.filter((one) => one.preemptions > 0).length
      seen.copies += scheduler.stats.copies
      seen.hits += scheduler.stats.prefixCacheHits
      seen.preemptedForks += groups.filter(
        (one) => one.preemptions > 0 && one.params.bestOf > 1,
      ).length
      seen.cutByPool += groups
        .flatMap(({ sequences }) => sequences)
        .filter(
          ({ finishReason, outputLength, group }) =>
            finishReason === 'length' && outputLength < group.params.maxTokens!,
        ).length
    }
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(10)
  })

  test.each<[string, Disturb]>([
    ['after computing', (s) => ({ ...s, copiesBefore: [], copiesAfter: s.copiesBefore })],
    ['in another order', (s) => ({ ...s, copiesBefore: s.copiesBefore.toReversed() })],
    ['not at all', (s) => ({ ...s, copiesBefore: [] })],
  ])('the traffic above notices copies that are done %s', (_, disturb) => {
    let noticed = 0
    for (const traffic of fc.sample(traffics, { numRuns: 300, seed: 1 })) {
      try {
        check(traffic, disturb)
      } catch {
        noticed++
      }
    }
    expect(noticed).toBeGreaterThan(0)
  })
})
