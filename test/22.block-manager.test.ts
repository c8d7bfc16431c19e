import { describe, expect, test } from 'vitest'
import { BlockManager, type BlockManagerOptions } from '../lib/scheduling/block-manager.js'
import { Sequence } from '../lib/scheduling/sequence.js'
import { fullGroups, makeGroup } from './support/requests.js'

/** A manager that hands out the given physical blocks first, in this order. */
function managerOf(order: readonly number[], options: Partial<BlockManagerOptions> = {}) {
  const blocks = new BlockManager({ blockSize: 4, numBlocks: 14, ...options })
  const taken = Array.from({ length: blocks.pool.capacity }, () => blocks.pool.take())
  for (const block of taken.filter((one) => !order.includes(one))) blocks.pool.release(block)
  for (const block of order.toReversed()) blocks.pool.release(block)
  return blocks
}

function sequenceOf(length: number, index = 0): Sequence {
  return new Sequence(
    makeGroup('r', 1),
    index,
    Int32Array.from({ length }, (_, i) => i + 1),
  )
}

/** Makes room for every token of a sequence and takes them as computed. */
function fill(blocks: BlockManager, sequence: Sequence): boolean {
  const done = blocks.append(sequence, sequence.length)
  if (done) sequence.computed = sequence.length
  blocks.checkIntegrity()
  return done
}

function extend(blocks: BlockManager, sequence: Sequence, token = 0): boolean {
  sequence.append(token)
  return fill(blocks, sequence)
}

function tableOf(sequence: Sequence, group = 0): readonly number[] {
  return [...(sequence.blockTables[group]?.subarray(0, sequence.blockCounts[group]) ?? [])]
}

function forkOf(blocks: BlockManager, parent: Sequence, index: number): Sequence {
  const child = new Sequence(parent.group, index, parent.tokens.slice(0, parent.length))
  blocks.fork(parent, child)
  blocks.checkIntegrity()
  return child
}

describe('figures of the PagedAttention paper', () => {
  test('Figure 6: decoding fills the last block before it takes another', () => {
    const blocks = managerOf([7, 1, 3])
    const sequence = sequenceOf(7)
    fill(blocks, sequence)
    expect(tableOf(sequence)).toEqual([7, 1])
    extend(blocks, sequence)
    expect(tableOf(sequence)).toEqual([7, 1])
    extend(blocks, sequence)
    expect(tableOf(sequence)).toEqual([7, 1, 3])
    expect(blocks.takeCopies()).toEqual([])
  })

  test('Figure 8: the first of two sharers to write copies the block, the last writes in place', () => {
    const blocks = managerOf([7, 1, 3])
    const a1 = sequenceOf(7)
    fill(blocks, a1)
    const a2 = forkOf(blocks, a1, 1)
    expect([7, 1].map((block) => blocks.pool.owners(block))).toEqual([2, 2])
    extend(blocks, a1)
    expect(tableOf(a1)).toEqual([7, 3])
    expect(blocks.pool.owners(1)).toBe(1)
    expect(blocks.takeCopies()).toEqual([{ group: 0, fromTier: 0, from: 1, toTier: 0, to: 3 }])
    extend(blocks, a2)
    expect(tableOf(a2)).toEqual([7, 1])
    expect(blocks.takeCopies()).toEqual([])
  })

  test('Figure 9: beams share what they have in common, and dropped ones are reclaimed', () => {
    // The figure's block 0 is our block 13, for block 0 is the null block.
    const blocks = managerOf([13, 1, 3, 5, 6, 7, 2, 4, 8])
    const beams = [sequenceOf(12)]
    fill(blocks, beams[0]!)
    expect(tableOf(beams[0]!)).toEqual([13, 1, 3])
    beams.push(forkOf(blocks, beams[0]!, 1), forkOf(blocks, beams[0]!, 2))
    const grow = (sequence: Sequence) => {
      for (let i = 0; i < 4; i++) extend(blocks, sequence)
    }
    beams.forEach(grow)
    beams.push(sequenceOf(16, 3))
    blocks.fork(beams[0]!, beams[3]!, 4)
    fill(blocks, beams[3]!)
    expect(tableOf(beams[3]!)).toEqual([13, 2, 4, 8])
    expect(beams.slice(0, 3).map((beam) => tableOf(beam))).toEqual([
      [13, 1, 3, 5],
      [13, 1, 3, 6],
      [13, 1, 3, 7],
    ])

    // The new candidates descend from candidates 1 and 2, two from each.
    const next = [beams[1]!, forkOf(blocks, beams[1]!, 4), beams[2]!, forkOf(blocks, beams[2]!, 5)]
    blocks.free(beams[0]!)
    blocks.free(beams[3]!)
    for (const block of [2, 4, 5, 8]) expect(blocks.pool.owners(block)).toBe(0)
    for (const beam of next) extend(blocks, beam)
    for (const beam of next) expect(tableOf(beam).slice(0, 3)).toEqual([13, 1, 3])
    expect(next.map((beam) => tableOf(beam)[3])).toEqual([6, 6, 7, 7])
    const last = next.map((beam) => tableOf(beam)[4])
    expect(new Set(last).size).toBe(4)
    expect(blocks.takeCopies()).toEqual([])
  })
})

describe('BlockManager', () => {
  test('n samples of a prompt that ends within a block cost n − 1 copies, else none', () => {
    for (const [prompt, copies] of [
      [7, 3],
      [8, 0],
      [9, 3],
    ] as const) {
      const blocks = managerOf([])
      const first = sequenceOf(prompt)
      fill(blocks, first)
      const all = [first, ...[1, 2, 3].map((index) => forkOf(blocks, first, index))]
      for (const sequence of all) extend(blocks, sequence)
      expect(blocks.takeCopies()).toHaveLength(copies)
      expect(blocks.copied).toBe(copies)
    }
  })

  test('a sequence wastes less than one block a group', () => {
    for (const groups of [1, 3]) {
      const blocks = managerOf([], { cacheGroups: fullGroups(groups) })
      const sequence = sequenceOf(1)
      for (let i = 0; i < 13; i++) {
        expect(extend(blocks, sequence)).toBe(true)
        expect(blocks.pool.used * 4 - sequence.length * groups).toBeLessThan(4 * groups)
      }
    }
  })

  test('cache groups have tables of their own, from one pool', () => {
    const blocks = managerOf([], { cacheGroups: fullGroups(2) })
    const sequence = sequenceOf(6)
    fill(blocks, sequence)
    expect(new Set([...tableOf(sequence, 0), ...tableOf(sequence, 1)]).size).toBe(4)
    forkOf(blocks, sequence, 1)
    extend(blocks, sequence)
    expect(blocks.takeCopies().map(({ group }) => group)).toEqual([0, 1])
  })

  test('append changes nothing when the pool lacks blocks', () => {
    const blocks = managerOf([], { numBlocks: 4 })
    const sequence = sequenceOf(6)
    fill(blocks, sequence)
    const before = tableOf(sequence)
    expect(blocks.room(sequence)).toBe(6)
    expect(blocks.append(sequence, 13)).toBe(false)
    expect([tableOf(sequence), sequence.slots]).toEqual([before, 6])
    blocks.checkIntegrity()
    expect(blocks.append(sequenceOf(5, 1), 5)).toBe(false)
    expect(blocks.holders.size).toBe(1)
  })

  test('a copy on write needs a free block', () => {
    const blocks = managerOf([], { numBlocks: 3 })
    const parent = sequenceOf(6)
    fill(blocks, parent)
    const child = forkOf(blocks, parent, 1)
    expect(extend(blocks, child)).toBe(false)
    expect(blocks.room(child)).toBe(0)
    blocks.free(parent)
    expect(fill(blocks, child)).toBe(true)
    expect(blocks.takeCopies()).toEqual([])
  })

  test('truncate keeps the blocks of the tokens that stay', () => {
    const blocks = managerOf([1, 2, 3])
    const sequence = sequenceOf(11)
    fill(blocks, sequence)
    sequence.length = 8
    blocks.truncate(sequence, 8)
    expect(tableOf(sequence)).toEqual([1, 2])
    expect(sequence.computed).toBe(8)
    extend(blocks, sequence)
    expect(tableOf(sequence)).toEqual([1, 2, 3])
    blocks.truncate(sequence, 0)
    expect(blocks.pool.used).toBe(0)
    blocks.checkIntegrity()
    expect(() => blocks.truncate(sequence, 1)).toThrow(/at most the 0 tokens with blocks, found 1/)
  })

  test('a block that was cut back is copied if shared, and forgotten by the cache if not', () => {
    const blocks = managerOf([])
    const parent = sequenceOf(8)
    fill(blocks, parent)
    blocks.publish(parent)
    const child = forkOf(blocks, parent, 1)
    child.length = 6
    blocks.truncate(child, 6)
    extend(blocks, child, 50)
    expect(blocks.takeCopies()).toHaveLength(1)
    blocks.free(child)
    parent.length = 6
    blocks.truncate(parent, 6)
    extend(blocks, parent, 51)
    expect(blocks.takeCopies()).toEqual([])
    expect(blocks.match(sequenceOf(8, 2), 8).blocks).toBe(1)
  })

  test('what is computed anew behind a cut is offered to the cache anew', () => {
    const blocks = managerOf([])
    const sequence = sequenceOf(12)
    fill(blocks, sequence)
    blocks.publish(sequence)
    sequence.length = 5
    blocks.truncate(sequence, 5)
    for (const token of [60, 61, 62]) extend(blocks, sequence, token)
    blocks.publish(sequence)
    const same = new Sequence(sequence.group, 1, sequence.tokens.slice(0, 8))
    expect(blocks.match(same, 8).blocks).toBe(2)
    expect(blocks.match(sequenceOf(12, 2), 12).blocks).toBe(1)
  })

  test('a child that forks early offers what it computes itself', () => {
    const blocks = managerOf([])
    const parent = sequenceOf(12)
    fill(blocks, parent)
    blocks.publish(parent)
    const child = new Sequence(parent.group, 1, Int32Array.of(1, 2, 3, 4, 60, 61, 62, 63))
    blocks.fork(parent, child, 4)
    fill(blocks, child)
    blocks.publish(child)
    expect(blocks.match(child, 8)).toEqual({ blocks: 2, owned: 2, fresh: 0 })
  })

  test('fork refuses a child that owns blocks, and more tokens than the parent has', () => {
    const blocks = managerOf([])
    const [parent, child] = [sequenceOf(6), sequenceOf(6, 1)]
    fill(blocks, parent)
    expect(() => blocks.fork(parent, child, 7)).toThrow(RangeError)
    blocks.fork(parent, child)
    expect(() => blocks.fork(parent, child)).toThrow(/child without blocks/)
  })

  test('dropped copies are neither done nor counted', () => {
    const blocks = managerOf([])
    const parent = sequenceOf(6)
    fill(blocks, parent)
    const child = forkOf(blocks, parent, 1)
    const mark = blocks.pendingCopies
    extend(blocks, child)
    blocks.free(child)
    blocks.dropCopies(mark)
    expect([blocks.takeCopies(), blocks.copied]).toEqual([[], 0])
  })
})

describe('checkIntegrity names', () => {
  const broken = (breakIt: (blocks: BlockManager, sequence: Sequence) => void) => () => {
    const blocks = managerOf([1, 2, 3, 4])
    const sequence = sequenceOf(7)
    fill(blocks, sequence)
    breakIt(blocks, sequence)
    blocks.checkIntegrity()
  }

  test.for<[string, (blocks: BlockManager, sequence: Sequence) => void, RegExp]>([
    [
      'a block with an owner too many',
      (blocks) => blocks.pool.share(1),
      /block 1 counts 2 owners but has 1/,
    ],
    [
      'a block that nobody owns',
      (blocks) => blocks.pool.take(),
      /block 3 counts 1 owners but has 0/,
    ],
    [
      'a sequence with too few blocks',
      (_, sequence) => (sequence.blockCounts[0] = 1),
      /sequence 0 of request r has 1 blocks for 7 slots/,
    ],
    [
      'the null block in a table',
      (_, sequence) => (sequence.blockTables[0]![1] = 0),
      /sequence 0 of request r owns the null block/,
    ],
    [
      'more computed than there is room for',
      (_, sequence) => (sequence.computed = 8),
      /computed 8, slots 7, length 7/,
    ],
    [
      'a shared block that is about to be written',
      (blocks, sequence) => {
        forkOf(blocks, sequence, 1)
        sequence.computed = 6
      },
      /about to write to block 2, which is shared/,
    ],
    [
      'a findable block that is about to be written',
      (blocks, sequence) => {
        blocks.publish(sequence)
        sequence.computed = 3
      },
      /about to write to block 1, which can be found/,
    ],
  ])('%s', ([, breakIt, message]) => {
    expect(broken(breakIt)).toThrow(message)
  })
})
