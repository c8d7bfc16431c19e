import { describe, expect, test } from 'vitest'
import { measurePool, type PoolUse, type System } from '../bench/measured/pool-use.js'
import { measureSharing } from '../bench/measured/sharing.js'
import { drawTraffic } from '../bench/measured/traffic.js'

// The benchmarks of docs/memory.md in small: real forward passes of models/demo, with the lengths of
// ShareGPT and the blocks divided by 8. Only memory is asserted, which no machine's speed changes.
const SCALE = 8
const sizes = { modelLength: 2048 / SCALE, blockSize: 16 / SCALE }

function useOf(system: System, poolSequences: number, requests: number): Promise<PoolUse> {
  return measurePool({
    ...{ system, poolSequences, requests: drawTraffic('sharegpt', requests, SCALE) },
    ...sizes,
  })
}

function shares({ tokenStates, reserved, internal, external, free }: PoolUse): number {
  return tokenStates + reserved + internal + external + free
}

describe.each([
  [7, 120],
  [2, 50],
])('a pool of %i sequences of full length', (poolSequences, count) => {
  const paging = useOf('paging', poolSequences, count)
  const max = useOf('orca-max', poolSequences, count)
  const oracle = useOf('orca-oracle', poolSequences, count)

  test('paging wastes less than 4 % of the pool', async () => {
    expect((await paging).internal).toBeLessThan(0.04)
    expect((await paging).tokenStates).toBeGreaterThan(0.85)
  })

  test('paging serves four times as many sequences as reservations of full length', async () => {
    expect((await max).batch).toBeCloseTo(poolSequences, 1)
    expect((await paging).batch).toBeGreaterThan(4 * (await max).batch)
    expect((await oracle).batch).toBeGreaterThan((await max).batch)
    expect((await paging).batch).toBeGreaterThan(1.5 * (await oracle).batch)
  })

  test('tokens, reservations, fragments and free blocks make the whole pool', async () => {
    for (const use of [await paging, await max, await oracle]) {
      expect(shares(use)).toBeCloseTo(1, 6)
      expect(Math.min(use.tokenStates, use.reserved, use.internal, use.external)).toBeGreaterThan(
        -1e-9,
      )
    }
  })
})

describe('outputs of one request share blocks', () => {
  const requests = drawTraffic('alpaca', 12)

  test('of the prompt when they are drawn', async () => {
    const [two, six] = [
      await measureSharing(requests, { n: 2 }),
      await measureSharing(requests, { n: 6 }),
    ]
    expect(two.saved).toBeGreaterThan(0.02)
    expect(six.saved).toBeGreaterThan(two.saved)
    expect(six.saved).toBeLessThan(0.3)
  })

  test('of what they have in common when they are beams: about half or more', async () => {
    const [two, six] = [
      await measureSharing(requests, { beamWidth: 2 }),
      await measureSharing(requests, { beamWidth: 6 }),
    ]
    expect(two.saved).toBeGreaterThan(0.2)
    expect(six.saved).toBeGreaterThan(0.45)
    expect(six.copiesPerStep).toBeLessThan(6)
  })
})
