import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BlockManager, type BlockManagerOptions } from '../lib/scheduling/block-manager.js'
import { DEVICE_TIER, HOST_TIER, Sequence, type SequenceGroup } from '../lib/scheduling/sequence.js'
import { cacheGroups, makeGroup } from './support/requests.js'
import { runs } from './support/runs.js'

const numRuns = runs(3000)

const operations = [
  'allocate',
  'append',
  'append',
  'append',
  'fork',
  'free',
  'truncate',
  'swapOut',
  'swapIn',
] as const

type Operation = readonly [kind: (typeof operations)[number], which: number, amount: number]

const programs = fc.record({
  blockSize: fc.integer({ min: 1, max: 8 }),
  numBlocks: fc.integer({ min: 2, max: 24 }),
  hostBlocks: fc.integer({ min: 0, max: 16 }),
  cacheGroups,
  enablePrefixCaching: fc.boolean(),
  program: fc.array(
    fc.tuple(fc.constantFrom(...operations), fc.nat(20), fc.integer({ min: 1, max: 20 })),
    { minLength: 20, maxLength: 120 },
  ),
})

/** What the cache holds of a token: each group something of its own. */
function stored(token: number, group: number): number {
  return token + 100 * group
}

/** What a state holds after so many tokens. */
function stateOf(tokens: ArrayLike<number>, group: number): number {
  return Array.from(tokens).reduce((state, token) => (31 * state + token + 1) % 1_000_003, group)
}

/** Runs programs on a manager and a simulated cache, and keeps what each sequence should read. */
class Machine {
  readonly blocks: BlockManager
  swaps = 0
  /** By live sequence: a copy of its own of every token that its cache should hold. */
  readonly model = new Map<Sequence, number[]>()
  readonly #caches: readonly Int32Array[]
  readonly #groups: readonly SequenceGroup[]
  #made = 0

  constructor(options: BlockManagerOptions) {
    this.blocks = new BlockManager(options)
    this.#caches = [options.numBlocks, options.hostBlocks ?? 0].map((blocks) =>
      new Int32Array(blocks * options.blockSize).fill(-1),
    )
    this.#groups = Array.from({ length: GROUPS }, () => emptyGroup())
  }

  run([kind, which, amount]: Operation): void {
    const sequence = [...this.model.keys()][which % Math.max(this.model.size, 1)]
    if (kind === 'allocate') this.#allocate(which, amount)
    else if (sequence === undefined) return
    else if (kind === 'swapOut' || kind === 'swapIn') this.#swap(sequence.group, kind)
    else if (kind === 'free') {
      this.blocks.free(sequence)
      this.model.delete(sequence)
    } else if (sequence.tier === HOST_TIER) return
    else if (kind === 'append') this.#append(sequence, which, amount)
    else if (kind === 'fork') this.#fork(sequence, amount)
    else this.#truncate(sequence, amount)
  }

  check(): void {
    this.blocks.checkIntegrity()
    const { tokenGroups, windows, states } = this.blocks.layout
    for (const [sequence, tokens] of this.model) {
      const cache = this.#caches[sequence.tier]!
      for (const group of tokenGroups) {
        const window = windows.find((one) => one.group === group)?.window ?? Infinity
        const first = Math.max(0, tokens.length - window + 1)
        const read = tokens.map((_, position) => cache[this.#slot(sequence, group, position)])
        expect(read.slice(first)).toEqual(tokens.slice(first).map((token) => stored(token, group)))
      }
      for (const group of states) {
        expect(cache[this.#slot(sequence, group, 0)]).toBe(stateOf(tokens, group))
      }
    }
  }

  /** A prompt of one token over and over, so that the prefix cache has hits. */
  #allocate(which: number, length: number): void {
    const tokens = Array.from({ length }, () => which % 2)
    const group = this.#groups[which % GROUPS]!
    if (isSwapped(group)) return
    const sequence = this.#make(group, tokens)
    const { blocks: cached } = this.blocks.match(sequence, length)
    if (!this.blocks.allocate(sequence, length, cached)) return
    this.model.set(sequence, tokens)
    this.#compute(sequence)
  }

  #append(sequence: Sequence, token: number, count: number): void {
    const kept = sequence.length
    for (let i = 0; i < count; i++) sequence.append(token % 2)
    if (!this.blocks.append(sequence, sequence.length)) {
      sequence.length = kept
      return
    }
    this.model.get(sequence)!.push(...Array.from({ length: count }, () => token % 2))
    this.#compute(sequence)
  }

  #fork(parent: Sequence, amount: number): void {
    const length = Math.min(parent.length, amount)
    const tokens = this.model.get(parent)!.slice(0, length)
    const child = this.#make(parent.group, tokens)
    this.blocks.fork(parent, child, length)
    if (child.slots > 0) this.model.set(child, tokens)
    else expect(this.blocks.layout.fullGroups).toBeLessThan(this.blocks.layout.groups)
  }

  #truncate(sequence: Sequence, amount: number): void {
    const length = Math.max(0, sequence.length - amount)
    this.blocks.truncate(sequence, length)
    sequence.length = length
    if (sequence.slots === 0) this.model.delete(sequence)
    else this.model.get(sequence)!.length = length
  }

  #swap(group: SequenceGroup, kind: 'swapOut' | 'swapIn'): void {
    if (isSwapped(group) === (kind === 'swapOut')) return
    const owned = this.blocks.ownedBy(group)
    const moved = this.blocks[kind](group)
    if (moved) this.swaps++
    // On the way back, two blocks of equal content may meet in one that the device still caches.
    if (kind === 'swapOut' && moved) expect(this.blocks.ownedBy(group)).toBe(owned)
    else expect(this.blocks.ownedBy(group)).toBeLessThanOrEqual(owned)
    this.#copy()
  }

  #make(group: SequenceGroup, tokens: readonly number[]): Sequence {
    const sequence = new Sequence(group, this.#made++, Int32Array.from(tokens))
    membersOf(group).push(sequence)
    return sequence
  }

  #copy(): void {
    const { blockSize } = this.blocks
    for (const { fromTier, from, toTier, to } of this.blocks.takeCopies()) {
      const block = this.#caches[fromTier]!.slice(from * blockSize, (from + 1) * blockSize)
      this.#caches[toTier]!.set(block, to * blockSize)
    }
  }

  /** Does the copies, then writes the tokens that are not computed, as an executor would. */
  #compute(sequence: Sequence): void {
    const { tokenGroups, states } = this.blocks.layout
    this.#copy()
    this.blocks.checkIntegrity()
    for (const group of states) {
      const slot = this.#slot(sequence, group, 0)
      const cache = this.#caches[DEVICE_TIER]!
      const known = sequence.tokens.subarray(0, sequence.computed)
      if (known.length > 0) expect(cache[slot]).toBe(stateOf(known, group))
      cache[slot] = stateOf(sequence.tokens.subarray(0, sequence.slots), group)
    }
    for (const group of tokenGroups) {
      for (let position = sequence.computed; position < sequence.slots; position++) {
        const slot = this.#slot(sequence, group, position)
        this.#caches[DEVICE_TIER]![slot] = stored(sequence.tokens[position]!, group)
      }
    }
    sequence.computed = sequence.slots
    this.blocks.publish(sequence)
  }

  #slot(sequence: Sequence, group: number, position: number): number {
    const { blockSize } = this.blocks
    const block = sequence.blockTables[group]![Math.floor(position / blockSize)]!
    return block * blockSize + (position % blockSize)
  }
}

/** Groups whose members come and go; the library's own have a fixed number of them. */
const GROUPS = 3

function emptyGroup(): SequenceGroup {
  const group = makeGroup('r', 1)
  membersOf(group).length = 0
  return group
}

function membersOf(group: SequenceGroup): Sequence[] {
  return group.sequences as Sequence[]
}

function isSwapped(group: SequenceGroup): boolean {
  return group.sequences.some(({ tier }) => tier === HOST_TIER)
}

test('random programs read what a machine without sharing would read', () => {
  let hits = 0
  let copies = 0
  let swaps = 0
  fc.assert(
    fc.property(programs, ({ program, ...options }) => {
      const machine = new Machine(options)
      for (const operation of program) {
        machine.run(operation)
        machine.check()
      }
      copies += machine.blocks.copied
      swaps += machine.swaps
      hits += [...machine.model.keys()].filter(({ published }) => published > 0).length
      for (const sequence of machine.model.keys()) machine.blocks.free(sequence)
      machine.blocks.checkIntegrity()
      expect([machine.blocks.pool.used, machine.blocks.host.used]).toEqual([0, 0])
    }),
    { numRuns },
  )
  expect(hits).toBeGreaterThan(0)
  expect(copies).toBeGreaterThan(0)
  expect(swaps).toBeGreaterThan(0)
})
