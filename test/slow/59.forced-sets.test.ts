import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadAddon } from '../../lib/native/addon.js'
import { root, succeed } from '../support/commands.js'
import { pairsOf, turnsOf } from '../support/turns.js'

// The tests of what engines compute, again on every instruction set under 1, 2 and 3 threads, whatever they ask for.
// Tests that name the sets themselves (45, 46, slow/58) do so in any case. A set runs every file once, a third
// of them with each number of threads, so that every pair of file, set and number is seen; with
// OCTAVO_FULL all three together.

const NUMBERS = [34, 38, 47, 50, 51, 53, 54, 55, 56, 59, 74, 76, 77, 78, 79, 86, 87, 88, 89, 111]
const files = readdirSync(join(root, 'test'))
  .filter((name) => name.endsWith('.test.ts') && NUMBERS.includes(Number.parseInt(name)))
  .map((name) => `test/${name}`)

const { instructionSets } = loadAddon()
const THREADS = [1, 2, 3]
const full = process.env.OCTAVO_FULL !== undefined
const turns = turnsOf(instructionSets, files, THREADS, full)

test('every pair of instruction set, file and number of threads is seen', () => {
  const [sets, tests, threads] = [instructionSets.length, files.length, THREADS.length]
  expect(pairsOf(turns)).toEqual([sets * tests, sets * threads, tests * threads])
})

describe.each(instructionSets)('on %s', (isa) => {
  test.each(THREADS)('with %i threads', (threads) => {
    const run = turns
      .filter((turn) => turn[0] === isa && turn[2] === threads)
      .map((turn) => turn[1])
    const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'fast', '--reporter=dot']
    const env = {
      ...process.env,
      OCTAVO_ADDON: join(root, 'test/support/forced-addon.cjs'),
      OCTAVO_FORCED_ISA: isa,
      OCTAVO_FORCED_THREADS: String(threads),
    }
    succeed(process.execPath, [...vitest, ...run], { env })
  })
})
