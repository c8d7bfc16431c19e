import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { NativeTensor } from '../lib/native/addon-types.js'
import { loadAddon } from '../lib/native/addon.js'
import { ggmlEncoding } from '../lib/weights/ggml-types.js'
import { temporaryFolder } from './support/files.js'
import { readFixture } from './support/models.js'

const addon = loadAddon()

interface Blocks {
  readonly shape: readonly [number, number]
  readonly blocks: string
  readonly numbers: string
}

// Random blocks, and what the PyPI package gguf makes of them (test/tools/gguf-blocks.py).
const blocks = Object.entries(readFixture('gguf/blocks.json') as Record<string, Blocks>)

function floats(base64: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer)
}

function tensorOf(type: string, { shape, blocks }: Blocks): NativeTensor {
  const file = join(temporaryFolder(), 'blocks')
  const data = Buffer.from(blocks, 'base64')
  writeFileSync(file, data)
  const encoding = { name: ggmlEncoding(type)!.name, group: 0, parts: {} }
  return { ...{ name: 'a', file, offset: 0, length: data.length, type, shape }, encoding }
}

describe.each(blocks)('blocks of %s', (type, fixture) => {
  const { bits, group } = ggmlEncoding(type)!
  const expected = floats(fixture.numbers)
  // Scale × code + minimum is rounded once, where the package rounds (code − middle) × scale or the
  // product and the difference: half a unit of the larger term each.
  const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
  const expectEqual = (found: Float32Array) => {
    expect(found).toHaveLength(expected.length)
    found.forEach((x, i) => expect(Math.abs(x - expected[i]!)).toBeLessThanOrEqual(largest * 1e-6))
  }

  test('are decoded to the numbers that the reference has', () => {
    expectEqual(addon.decodeTensor(tensorOf(type, fixture), ''))
  })

  test.each([
    `int${bits}/${group}`,
    'int8/16',
    ...(group === 32 ? ['int8/32'] : []),
    ...(bits === 4 ? ['int4/16'] : []),
  ])('keep them as codes of %s', (form) => {
    expectEqual(addon.decodeTensor(tensorOf(type, fixture), form))
  })

  test('whose bytes do not fit the shape are refused', () => {
    const tensor = tensorOf(type, fixture)
    const refused = (changes: Partial<NativeTensor>) =>
      expect(() => addon.decodeTensor({ ...tensor, ...changes }, '')).toThrow(
        /^tensor 'a' of '.*': /,
      )
    refused({ length: tensor.length - 1 })
    refused({ shape: [fixture.shape[0] + 1, fixture.shape[1]] })
    refused({ shape: [fixture.shape[0], fixture.shape[1] + 1] })
    refused({ shape: [-3, -256] })
    refused({ shape: [2 ** 40, 2 ** 40] })
    refused({ offset: 1 })
  })
})

test('a form with fewer bits quantises the numbers anew', () => {
  const [type, fixture] = blocks.find(([type]) => type === 'Q8_0')!
  const found = addon.decodeTensor(tensorOf(type, fixture), 'int4/32')
  const expected = floats(fixture.numbers)
  for (let start = 0; start < expected.length; start += 32) {
    const group = expected.subarray(start, start + 32)
    const step = (Math.max(...group) - Math.min(...group)) / 15
    group.forEach((x, i) => expect(Math.abs(found[start + i]! - x)).toBeLessThan(0.51 * step))
  }
})

test('an unknown encoding is refused by name', () => {
  const [type, fixture] = blocks[0]!
  const tensor = { ...tensorOf(type, fixture), encoding: { name: 'q9_9', group: 0, parts: {} } }
  expect(() => addon.decodeTensor(tensor, '')).toThrow("in the form 'q9_9' are not known")
})
