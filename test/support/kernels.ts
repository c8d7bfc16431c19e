// What the tests of kernels share: plans of a few ops, and arrays that must hold the same bits.
import { expect } from 'vitest'
import { PlanBuilder } from '../../lib/plan/builder.js'
import type { CacheType, StoredType } from '../../lib/plan/ops.js'
import { fusedSets, sameBits } from './run-plan.js'

export const builder = (
  weightType: StoredType = 'float32',
  cacheType: CacheType = 'float32',
  roundsInputs = false,
) => new PlanBuilder({ name: 'kernels', vocabSize: 2, weightType, cacheType, roundsInputs })

export function expectSameBits(found: Float32Array, wanted: Float32Array, what: string) {
  expect(sameBits(found, wanted), what).toBe(true)
}

/** Fails unless every instruction set that fuses multiply-adds gives the same bits. */
export function expectAllSame(what: string, compute: (isa: string) => Float32Array) {
  const [first, ...others] = fusedSets.map(compute)
  others.forEach((found, i) => expectSameBits(found, first!, `${fusedSets[i + 1]}: ${what}`))
}
