import { afterEach, describe, expect, it } from 'vitest'
import type { NativeEngine } from '../lib/native/addon-types.js'
import { loadAddon } from '../lib/native/addon.js'
import { HEADER_INTS } from '../lib/native/step.js'
import { Events, packToy, toyEngine, toyPlan } from './support/toy.js'
import type { ToyStep } from './support/toy.js'

const addon = loadAddon()
const engines: NativeEngine[] = []
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.dispose()))
})

/** An engine that the test's end disposes, with a loaded toy model. */
async function loadedEngine() {
  const events = new Events()
  const engine = toyEngine(addon, events)
  engines.push(engine)
  await engine.load(toyPlan(), { seed: 1 })
  return { engine, events }
}

describe('a malformed step is refused and the engine goes on', () => {
  const sequences = [{ tokens: [1, 2, 3], blocks: [1] }]
  const good: ToyStep = { sequences, samples: [{ tokenRow: 2 }] }
  const sampled = (sample: object): ToyStep => ({
    sequences,
    samples: [{ tokenRow: 2, ...sample }],
  })

  it.each<[string, ToyStep, RegExp]>([
    ['token id', { sequences: [{ tokens: [96], blocks: [1] }] }, /ids\[0\]: token id 96 .* 95/],
    ['no step before', { sequences: [{ tokens: [-1], blocks: [1] }] }, /ids\[0\]: token id -1/],
    ['plan', { ...good, plan: 1 }, /plan 1 of 1 loaded/],
    ['groups', { sequences: [], groups: 2 }, /2 cache groups, the plan has 1/],
    ['block', { sequences: [{ tokens: [1], blocks: [16] }] }, /tables\[0\]: block 16 .* 0 … 15/],
    ['negative block', { sequences: [{ tokens: [1], blocks: [-2] }] }, /tables\[0\]: block -2/],
    ['short table', { sequences: [{ tokens: [1], start: 16, blocks: [1] }] }, /1 blocks of 16/],
    ['empty sequence', { sequences: [{ tokens: [], blocks: [1] }] }, /sequences\[0\]: row count 0/],
    ['token row', sampled({ tokenRow: 3 }), /samples\[0\]: token row 3 is not in 0 … 2/],
    ['topK', sampled({ topK: -1 }), /samples\[0\]: topK -1/],
    ['logprobs', sampled({ logprobs: -2 }), /samples\[0\]: logprobs -2/],
    ['target', sampled({ target: 96 }), /samples\[0\]: target 96/],
    ['penalties', sampled({ penaltyStart: 0, penaltyCount: 1 }), /penalty count 1/],
    ['penalty start', sampled({ penaltyStart: 1 }), /penalty start 1 is not in 0 … 0/],
    ['penalty id', { ...good, penalties: [96, 1, 1] }, /penalties\[0\]: token id 96/],
    ['biases', sampled({ biasStart: 3, biasCount: 0 }), /bias start 3/],
    ['bias id', { ...good, biasIds: [-5] }, /biasIds\[0\]: token id -5/],
    ['mask', sampled({ mask: 0 }), /samples\[0\]: mask 0 is not in -1 … -1/],
    ['shared mask', sampled({ sharedMask: 0 }), /shared mask 0 is not in -1 … -1/],
    ['mask words', { ...good, masks: [[-1, -1]] }, /masks of 2 words for a vocabulary of 96/],
    ['null block', { ...good, copiesBefore: [0, 0, 1, 0, 0] }, /copies\[0\]: block 0 is the null/],
    ['copy group', { ...good, copiesBefore: [1, 0, 1, 0, 2] }, /copies\[0\]: group 1/],
    ['copy tier', { ...good, copiesAfter: [0, 2, 1, 0, 2] }, /copies\[0\]: from tier 2/],
    ['copy from', { ...good, copiesAfter: [0, 0, 16, 0, 2] }, /from block 16 is not in 0 … 15/],
    ['copy to', { ...good, copiesAfter: [0, 0, 1, 1, 4] }, /to block 4 is not in 0 … 3/],
    [
      'token limit',
      { sequences: [{ tokens: new Array<number>(65).fill(1), blocks: [1, 2, 3, 4, 5] }] },
      /65 token rows, the plan is recorded for 64/,
    ],
    [
      'sequence limit',
      { sequences: new Array(9).fill({ tokens: [1], blocks: [1] }) as ToyStep['sequences'] },
      /9 sequences, the plan is recorded for 8/,
    ],
    [
      'sample limit',
      { sequences, samples: new Array(17).fill({ tokenRow: 0 }) as ToyStep['samples'] },
      /17 sample rows, the plan is recorded for 16/,
    ],
  ])('%s', async (_, step, message) => {
    const { engine, events } = await loadedEngine()
    expect(() => engine.submit(...packToy(step))).toThrow(message)
    engine.submit(...packToy(good))
    await events.until(1)
    expect(events.deaths).toEqual([])
    expect(engine.counters()).toEqual({ submits: 1, callbacks: 1 })
  })

  it.each<[string, (ints: number[], floats: number[]) => void, RegExp]>([
    ['no ints', (ints) => (ints.length = 0), /header needs 19 ints, 0 are left of 0/],
    ['version', (ints) => (ints[0] = 2), /format version 2, this addon reads 5/],
    ['negative count', (ints) => (ints[3] = -1), /header\[3\]: entry -1/],
    ['huge count', (ints) => (ints[10] = 2 ** 30), /header\[10\]: entry 1073741824/],
    ['huge product', (ints) => (ints[10] = ints[11] = 2 ** 27), /masks needs 18014398509481984/],
    ['an int too many', (ints) => ints.push(0), /the sections fill \d+ of \d+ ints/],
    ['an int too few', (ints) => ints.pop(), /samples needs 15 ints, 14 are left/],
    ['a float too few', (_, floats) => floats.pop(), /samples needs 6 floats, 5 are left of 5/],
    ['a float too many', (_, floats) => floats.push(0), /the sections fill 6 of 7 floats/],
    ['position', (ints) => (ints[HEADER_INTS + 3] = -1), /positions\[0\]: position -1/],
    [
      'position beyond',
      (ints) => (ints[HEADER_INTS + 5] = 3),
      /positions\[2\]: position 3 is not in 0 … 2/,
    ],
    ['first row', (ints) => (ints[HEADER_INTS + 6] = 1), /sequences\[0\]: first row 1/],
    ['row count', (ints) => (ints[HEADER_INTS + 7] = 4), /sequences\[0\]: row count 4/],
    ['uncovered rows', (ints) => (ints[HEADER_INTS + 7] = 2), /sequences cover 2 of 3 token rows/],
    [
      'context',
      (ints) => (ints[HEADER_INTS + 8] = 2),
      /sequences\[0\]: context length 2 of 3 rows/,
    ],
    ['length', (ints) => (ints[HEADER_INTS + 9] = 2), /sequences\[0\]: length 2 of a context of 3/],
    [
      'adapter',
      (ints) => (ints[HEADER_INTS + 10] = -2),
      /sequences\[0\]: adapter -2 is not in -1 … 65535/,
    ],
    [
      'table start',
      (ints) => (ints[HEADER_INTS + 11] = 1),
      /tableStarts\[0\]: the first start is not 0/,
    ],
    [
      'table end',
      (ints) => (ints[HEADER_INTS + 12] = 0),
      /tableStarts\[1\]: the last start is not the length/,
    ],
    [
      'table order',
      (ints) => (ints[HEADER_INTS + 12] = 2),
      /tableStarts\[1\]: start 2 is not in 0 … 1/,
    ],
  ])('%s', async (_, spoil, message) => {
    const { engine } = await loadedEngine()
    const [ints, floats] = packToy(good).map((array) => [...array])
    spoil(ints!, floats!)
    expect(() => engine.submit(Int32Array.from(ints!), Float32Array.from(floats!))).toThrow(message)
  })

  it('arrays of another type', async () => {
    const { engine } = await loadedEngine()
    const submit = engine.submit.bind(engine) as (...args: unknown[]) => void
    expect(() => submit([1], new Float32Array(0))).toThrow(TypeError)
    expect(() => submit(new Int32Array(15), new Float64Array(0))).toThrow(TypeError)
    expect(() => engine.copy(Int32Array.of(1, 2, 3))).toThrow('copies: expected groups of five')
    await expect(engine.copy(Int32Array.of(0, 0, 1, 0, 0))).rejects.toThrow('null block')
  })
})
