import { describe, test } from 'vitest'
import { fuzz, fuzzTargets } from '../support/fuzz.js'

/** 20,000 in all with `npm run test:full`. */
const CASES = process.env.OCTAVO_FULL ? 20_000 : 1_400

describe('broken files', () => {
  test('are refused in words or work', async () => {
    const targets = fuzzTargets()
    for (const target of targets) await fuzz(target, Math.ceil(CASES / targets.length))
  })
})
