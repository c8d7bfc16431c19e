import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HASH_WORDS, hashBlock, rootHash } from '../lib/scheduling/block-hash.js'

const words = (minLength: number) =>
  fc.array(fc.integer({ min: 0, max: 2 ** 31 - 1 }), { minLength, maxLength: 70 })

function hash(tokens: readonly number[], parent: Int32Array = rootHash('')): string {
  const out = new Int32Array(HASH_WORDS)
  hashBlock(Int32Array.from(tokens), 0, tokens.length, parent, 0, out, 0)
  return Buffer.from(out.buffer).toString('hex')
}

describe('block hash', () => {
  test('is BLAKE2s of the token ids, as OpenSSL computes it', () => {
    fc.assert(
      fc.property(words(1), (tokens) => {
        const bytes = Buffer.from(Int32Array.from(tokens).buffer)
        const expected = createHash('blake2s256').update(bytes).digest('hex')
        expect(hash(tokens)).toBe(expected.slice(0, 32))
      }),
    )
  })

  // hashlib.blake2s(words, salt=parent[:8], person=parent[8:]).digest()[:16] of Python says the same.
  test('is the same in every process, with its parent as salt and personalization', () => {
    expect(hash([1, 2, 3, 4])).toBe('2d435895cfba677ceae60a9d4957f29c')
    expect(hash([1, 2, 3, 4], rootHash('adapter'))).toBe('c48894c0564dd6d73957b28add66b18e')
  })

  test('depends on the parent and on every token', () => {
    fc.assert(
      fc.property(words(2), fc.nat(), (tokens, at) => {
        const changed = tokens.with(at % tokens.length, tokens[at % tokens.length]! ^ 1)
        expect(hash(changed)).not.toBe(hash(tokens))
        const parent = Int32Array.of(0, 0, 0, 1)
        expect(hash(tokens, parent)).not.toBe(hash(tokens))
      }),
    )
  })

  test('hashes in place, between other words', () => {
    const out = new Int32Array(3 * HASH_WORDS).fill(7)
    hashBlock(Int32Array.of(9, 1, 2, 9), 1, 3, rootHash(''), 0, out, HASH_WORDS)
    expect([...out.subarray(0, HASH_WORDS)]).toEqual([7, 7, 7, 7])
    expect([...out.subarray(2 * HASH_WORDS)]).toEqual([7, 7, 7, 7])
    const middle = out.slice(HASH_WORDS, 2 * HASH_WORDS)
    expect(Buffer.from(middle.buffer).toString('hex')).toBe(hash([1, 2]))
  })

  test('keys have roots of their own', () => {
    const roots = ['', 'a', 'b', 'a\0', 'ab'].map((key) => rootHash(key).join())
    expect(new Set(roots).size).toBe(roots.length)
    expect([...rootHash('')]).toEqual([0, 0, 0, 0])
  })
})
