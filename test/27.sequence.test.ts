import { describe, expect, test } from 'vitest'
import { makeGroup } from './support/requests.js'

describe('Sequence', () => {
  test('sequences of a group share the prompt until they append', () => {
    const { sequences } = makeGroup('a', 5, { bestOf: 3 })
    expect(sequences[1]!.tokens).toBe(sequences[0]!.tokens)
    sequences[0]!.append(70)
    sequences[1]!.append(71)
    const tokens = sequences.map((one) => [...one.tokens.subarray(0, one.length)])
    expect(tokens).toEqual([
      [1, 2, 3, 4, 5, 70],
      [1, 2, 3, 4, 5, 71],
      [1, 2, 3, 4, 5],
    ])
  })

  test('grows as far as needed', () => {
    const [sequence] = makeGroup('a', 3).sequences
    for (let i = 0; i < 1000; i++) sequence!.append(i)
    expect([sequence!.length, sequence!.outputLength, sequence!.uncomputed]).toEqual([
      1003, 1000, 1003,
    ])
    expect(sequence!.tokens[1002]).toBe(999)
  })

  test('of a group that is computed again, a sequence that is ahead is not behind', () => {
    const group = makeGroup('a', 4, { bestOf: 3 })
    group.forked = true
    for (const index of [0, 0, 1, 2]) group.sequences[index]!.append(7)
    expect(group.sequences.map(({ behind }) => behind)).toEqual([false, true, true])
    group.forked = false
    expect(group.sequences.map(({ behind }) => behind)).toEqual([true, false, false])
  })

  test('a prompt given as Int32Array is used as it is', () => {
    const promptTokenIds = Int32Array.of(4, 5)
    expect(makeGroup('a', promptTokenIds).sequences[0]!.tokens).toBe(promptTokenIds)
  })
})

describe('penalty counts', () => {
  const triplesOf = (options: Parameters<typeof makeGroup>[2], ...drawn: number[]) => {
    const [sequence] = makeGroup('a', [8, 9, 8], options).sequences
    for (const token of drawn) sequence!.append(token)
    const counts = sequence!.penalties
    return (
      counts &&
      Array.from({ length: counts.size }, (_, i) => [...counts.triples.subarray(3 * i, 3 * i + 3)])
    )
  }

  test('are not kept for parameters that need none', () => {
    expect(triplesOf({}, 9, 7)).toBeNull()
  })

  test.for(['presencePenalty', 'frequencyPenalty', 'repetitionPenalty'])('%s counts', (name) => {
    expect(triplesOf({ [name]: 0.5 }, 9, 7, 7)).toEqual([
      [8, 0, 1],
      [9, 1, 1],
      [7, 2, 0],
    ])
  })

  test('follow the tokens that are appended after they were first asked for', () => {
    const [sequence] = makeGroup('a', 100, { presencePenalty: 1 }).sequences
    expect(sequence!.penalties!.size).toBe(100)
    for (const token of [500, 500, 1]) sequence!.append(token)
    const { size, triples } = sequence!.penalties!
    expect([size, triples.length]).toEqual([101, 303])
    expect([...triples.subarray(300)]).toEqual([500, 2, 0])
    expect([...triples.subarray(0, 3)]).toEqual([1, 1, 1])
  })
})
