import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BlockManager, type BlockManagerOptions } from '../lib/scheduling/block-manager.js'
import { Sequence } from '../lib/scheduling/sequence.js'
import { makeGroup } from './support/requests.js'

const numRuns = Number(process.env.FC_RUNS ?? 300)

const operations = ['allocate', 'append', 'append', 'fork', 'free', 'truncate'] as const

type Operation = readonly [kind: (typeof operations)[number], which: number, amount: number]

const programs = fc.record({
  blockSize: fc.integer({ min: 1, max: 8 }),
  numBlocks: fc.integer({ min: 2, max: 24 }),
  cacheGroups: fc.integer({ min: 1, max: 2 }),
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

/** Runs programs on a manager and a simulated cache, and keeps what each sequence should read. */
class Machine {
  readonly blocks: BlockManager
  /** By live sequence: a copy of its own of every token that its cache should hold. */
  readonly model = new Map<Sequence, number[]>()
  readonly #cache: Int32Array
  readonly #group = makeGroup('r', 1)
  #made = 0

  constructor(options: BlockManagerOptions) {
    this.blocks = new BlockManager(options)
    this.#cache = new Int32Array(options.numBlocks * options.blockSize).fill(-1)
  }

  run([kind, which, amount]: Operation): void {
    const sequence = [...this.model.keys()][which % Math.max(this.model.size, 1)]
    if (kind === 'allocate') this.#allocate(which, amount)
    else if (sequence === undefined) return
    else if (kind === 'append') this.#append(sequence, which, amount)
    else if (kind === 'fork') this.#fork(sequence, amount)
    else if (kind === 'truncate') this.#truncate(sequence, amount)
    else {
      this.blocks.free(sequence)
      this.model.delete(sequence)
    }
  }

  check(): void {
    this.blocks.checkIntegrity()
    for (const [sequence, tokens] of this.model) {
      for (let group = 0; group < this.blocks.groups; group++) {
        const read = tokens.map((_, position) => this.#cache[this.#slot(sequence, group, position)])
        expect(read).toEqual(tokens.map((token) => stored(token, group)))
      }
    }
  }

  /** A prompt of one token over and over, so that the prefix cache has hits. */
  #allocate(which: number, length: number): void {
    const tokens = Array.from({ length }, () => which % 2)
    const sequence = this.#make(tokens)
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
    const child = this.#make(tokens)
    this.blocks.fork(parent, child, length)
    this.model.set(child, tokens)
  }

  #truncate(sequence: Sequence, amount: number): void {
    const length = Math.max(0, sequence.length - amount)
    this.blocks.truncate(sequence, length)
    sequence.length = length
    if (length === 0) this.model.delete(sequence)
    else this.model.get(sequence)!.length = length
  }

  #make(tokens: readonly number[]): Sequence {
    return new Sequence(this.#group, this.#made++, Int32Array.from(tokens))
  }

  /** Does the copies, then writes the tokens that are not computed, as an executor would. */
  #compute(sequence: Sequence): void {
    const { blockSize, groups } = this.blocks
    for (const { from, to } of this.blocks.takeCopies()) {
      this.#cache.copyWithin(to * blockSize, from * blockSize, (from + 1) * blockSize)
    }
    this.blocks.checkIntegrity()
    for (let group = 0; group < groups; group++) {
      for (let position = sequence.computed; position < sequence.slots; position++) {
        this.#cache[this.#slot(sequence, group, position)] = stored(
          sequence.tokens[position]!,
          group,
        )
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

test('random programs read what a machine without sharing would read', () => {
  let hits = 0
  let copies = 0
  fc.assert(
    fc.property(programs, ({ program, ...options }) => {
      const machine = new Machine(options)
      for (const operation of program) {
        machine.run(operation)
        machine.check()
      }
      copies += machine.blocks.copied
      hits += [...machine.model.keys()].filter(({ published }) => published > 0).length
      for (const sequence of machine.model.keys()) machine.blocks.free(sequence)
      machine.blocks.checkIntegrity()
      expect(machine.blocks.pool.used).toBe(0)
    }),
    { numRuns },
  )
  expect(hits).toBeGreaterThan(0)
  expect(copies).toBeGreaterThan(0)
})
