import { onGpu, whyNotEmulated } from '../support/emulated.js'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import type {
  NativeEngine,
  NativeEngineOptions,
  NativeTensor,
} from '../../lib/native/addon-types.js'
import { loadAddon } from '../../lib/native/addon.js'
import { readResult } from '../../lib/native/native-executor.js'
import { printAdapter } from '../../lib/plan/adapter.js'
import type { Plan } from '../../lib/plan/ops.js'
import { printPlan } from '../../lib/plan/text.js'
import { matchCheckpoint, readCheckpoint } from '../../lib/weights/checkpoint.js'
import { readLoraAdapter } from '../../lib/weights/lora-adapter.js'
import { matchAdapter } from '../../lib/weights/match-adapter.js'
import { adaptableOf, planOf } from '../support/adapters.js'
import { expectMixed, load } from '../support/lora-engine.js'
import { FIXTURES } from '../support/models.js'
import { Events, packToy, toyEngine, TOY_LIMITS } from '../support/toy.js'

const NAMES = ['qv-r4', 'all-r8', 'mlp-r16-rslora'] as const
type Name = (typeof NAMES)[number]
const SLOTS = { adapterSlots: 2, adapterRank: 16 }

let plan: Plan
let tensors: readonly NativeTensor[]
const adapters = new Map<Name, readonly [text: string, tensors: readonly NativeTensor[]]>()

beforeAll(async () => {
  plan = await planOf('lora/base')
  tensors = matchCheckpoint(plan, await readCheckpoint(join(FIXTURES, 'lora/base')))
  for (const name of NAMES) {
    const read = await readLoraAdapter(join(FIXTURES, 'lora', name))
    const matched = matchAdapter(adaptableOf(plan), read)
    adapters.set(name, [printAdapter(matched.plan), matched.tensors])
  }
})

const engines: NativeEngine[] = []
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.dispose()))
})

class Device {
  readonly events = new Events()
  readonly engine: NativeEngine
  #steps = 0

  constructor(
    options: Partial<NativeEngineOptions>,
    private readonly logprobs = 4,
  ) {
    this.engine = toyEngine(loadAddon(), this.events, { numBlocks: 32, ...options })
    engines.push(this.engine)
  }

  async load(): Promise<this> {
    await this.engine.load(printPlan(plan, TOY_LIMITS), tensors)
    return this
  }

  async put(slot: number, name: Name): Promise<void> {
    await this.engine.loadAdapter(slot, ...adapters.get(name)!)
  }

  submit(start: number, tokens: readonly (readonly number[])[], slots: readonly number[]): void {
    const sequences = tokens.map((ids, s) => ({
      ...{ tokens: ids, start, adapter: slots[s] },
      blocks: [2 * s + 1, 2 * s + 2],
    }))
    let end = 0
    const { logprobs } = this
    const samples = tokens.map(({ length }) => ({ tokenRow: (end += length) - 1, logprobs }))
    this.engine.submit(...packToy({ id: ++this.#steps, sequences, samples }))
  }

  /** What all steps so far gave. */
  async results() {
    await this.events.until(this.#steps)
    expect(this.events.deaths).toEqual([])
    return this.events.results.map(({ ints, floats }) => readResult(ints, floats))
  }
}

/** Prompts, and then tokens one at a time: rows of three sequences, whose slots change from step to step. */
async function runSteps(device: Device): Promise<void> {
  const row = (seed: number, count: number) =>
    Array.from({ length: count }, (_, i) => (seed * 37 + i * 11) % plan.vocabSize)
  let at = 20
  const decode = (slots: readonly number[]) => {
    device.submit(at, [row(at, 1), row(at + 1, 1), row(at + 2, 1)], slots)
    at++
  }
  await device.put(0, 'qv-r4')
  await device.put(1, 'all-r8')
  device.submit(0, [row(1, 20), row(2, 20), row(3, 20)], [1, -1, 0])
  decode([-1, -1, -1])
  decode([1, -1, 0])
  decode([0, 1, 1])
  decode([-1, -1, -1])
  decode([-1, 0, -1])
  await device.put(0, 'mlp-r16-rslora')
  decode([0, 1, -1])
  decode([-1, 0, 0])
  decode([-1, -1, -1])
  await device.put(0, 'qv-r4')
  decode([0, 0, 0])
}

describe.skipIf(whyNotEmulated)('adapters of steps on the emulated GPU', () => {
  it('are those of their slots when the step was submitted, whichever graph it is', async () => {
    const [cpu, cuda] = [new Device({}), new Device({ device: 'cuda', ...SLOTS })]
    for (const device of [cpu, cuda]) await runSteps(await device.load())
    const [wanted, found] = [await cpu.results(), await cuda.results()]
    found.forEach(({ tokenIds, topIds, topLogprobs }, step) => {
      expect(tokenIds, `step ${step}`).toEqual(wanted[step]!.tokenIds)
      expect(topIds, `step ${step}`).toEqual(wanted[step]!.topIds)
      topLogprobs.forEach((logprob, i) =>
        expect(logprob, `step ${step}`).toBeCloseTo(wanted[step]!.topLogprobs[i]!, 4),
      )
    })
  })

  it('give what peft gives', async () => {
    const gpu = { device: 'cuda', maxNumSeqs: 16, maxNumBatchedTokens: 64, maxLoras: 2 } as const
    const engine = await load({ ...gpu, maxLoraRank: 16 })
    await expectMixed(engine)
    await engine.close()
  })

  // A GPU's memory is taken in pages of 2 MiB.
  it.skipIf(onGpu)('have their memory once the plan is loaded', async () => {
    const free = () => loadAddon().cudaMemory().free
    const before = free()
    const none = await new Device({ device: 'cuda' }).load()
    const bare = before - free()
    await none.engine.dispose()
    const device = await new Device({ device: 'cuda', ...SLOTS }).load()
    const taken = before - free()
    const matrices = adaptableOf(plan).reduce((sum, { shape, sources }) => {
      const [rows = 0, columns = 0] = shape
      return sum + 4 * (sources.length * columns + rows) * SLOTS.adapterRank * SLOTS.adapterSlots
    }, 0)
    expect(taken - bare).toBeGreaterThanOrEqual(matrices)
    await device.put(0, 'all-r8')
    await device.put(1, 'mlp-r16-rslora')
    expect(before - free()).toBe(taken)
  })

  it.skipIf(onGpu)('take no more than the largest steps that size the cache', async () => {
    const pool = { numBlocks: 4096, memoryShare: 0.5 }
    const device = await new Device({ device: 'cuda', ...SLOTS, ...pool }, -1).load()
    const { free } = loadAddon().cudaMemory()
    await runSteps(device)
    await device.results()
    expect(loadAddon().cudaMemory().free).toBe(free)
  })

  it('are refused where their slot has no room for them', async () => {
    const device = await new Device({ device: 'cuda', ...SLOTS, adapterRank: 8 }).load()
    await device.put(0, 'all-r8')
    await expect(device.put(0, 'mlp-r16-rslora')).rejects.toThrow(
      'adapterRank is 8, the adapter has matrices of rank 16',
    )
    await expect(device.put(2, 'all-r8')).rejects.toThrow('adapter slot 2: adapterSlots is 2')
    // What was refused changes nothing, and leaves nothing of what was there before.
    device.submit(0, [[1, 2, 3]], [0])
    device.submit(0, [[1, 2, 3]], [-1])
    const [refused, none] = await device.results()
    expect(refused!.topLogprobs).toEqual(none!.topLogprobs)
  })

  it('end the engine where a step names a slot that is not there', async () => {
    const device = await new Device({ device: 'cuda', ...SLOTS }).load()
    device.submit(0, [[1, 2, 3]], [2])
    await device.events.until(1)
    expect(device.events.deaths).toEqual([expect.stringContaining('adapter 2 is not loaded')])
  })
})
