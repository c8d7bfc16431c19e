import { expect, test } from 'vitest'
import { fuzz, fuzzTargets } from './support/fuzz.js'

// Broken files are refused by an EngineError or give a working model; never a crash, never a hang.
// test/slow has many more cases of the same kinds.
const CASES = 40

test('mutated configs, headers and tokenizers are refused in words or work', async () => {
  const targets = fuzzTargets()
  expect(targets.length).toBeGreaterThan(5)
  for (const target of targets) await fuzz(target, CASES)
}, 60_000)
