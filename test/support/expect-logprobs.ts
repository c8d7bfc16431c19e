import { expect } from 'vitest'
import type { TokenLogprobs } from '../../lib/index.js'
import { logSoftmax } from './models.js'

// Both sides compute in float32 from the same bf16 weights; the sums of up to 256 products are taken
// in another order, an error of about 1e-5 of logits up to 20. 1e-3 is the bound of the reference.
const TOLERANCE = 1e-3

/** Expects the log-probabilities of the whole vocabulary that a reference's logits have. */
export function expectLogprobs(row: TokenLogprobs, logits: Float32Array): void {
  expect(row.size).toBe(logits.length)
  logSoftmax(logits).forEach((expected, id) => {
    const found = row.get(id)!.logprob
    if (!(Math.abs(found - expected) <= TOLERANCE)) {
      expect.fail(`token ${id}: expected ${expected}, found ${found}`)
    }
  })
}
