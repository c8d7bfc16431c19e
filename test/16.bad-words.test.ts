import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BadWords } from '../lib/text/bad-words.js'
import { Tokenizer } from '../lib/text/tokenizer.js'
import { kinds, loadFixture } from './helpers/tokenizers.js'

const demo = await Tokenizer.load('models/demo')
const encode = (text: string): number[] => [...demo.encode(text, { addSpecialTokens: false })]
const banned = (words: string[], output: number[], prompt: number[] = []) =>
  new BadWords(words, demo).banned(
    [...prompt, ...output],
    prompt.length,
    prompt.length + output.length,
  )

describe('one token', () => {
  test('is banned at once, with and without a space before it', () => {
    const [id, ...rest] = encode(' time')
    expect(rest).toEqual([])
    expect(encode('time').length).toBeGreaterThan(1)
    expect(banned(['time'], [])).toEqual([id])
    expect(banned(['!'], [])).toContain(encode('!')[0])
    expect(banned([' time'], [])).toEqual(banned(['time'], []))
  })
})

describe('several tokens', () => {
  const word = 'zyxwv'
  const ids = encode(word)
  const [before, last] = [ids.slice(0, -1), ids.at(-1)!]

  test('only the last is banned, and only after the others', () => {
    expect(ids.length).toBeGreaterThan(1)
    expect(banned([word], before)).toEqual([last])
    expect(banned([word], [...encode('Once upon'), ...before])).toEqual([last])
    expect(banned([word], before.slice(1))).toEqual([])
    expect(banned([word], [...before, 7])).toEqual([])
  })

  test('the prompt does not count', () => {
    expect(banned([word], [], before)).toEqual([])
    expect(banned([word], before.slice(1), before.slice(0, 1))).toEqual([])
  })
})

test('no words ban nothing', () => {
  expect(banned([], encode('Once upon a time'))).toEqual([])
})

test.each(kinds)('%s: neither form of a word can be finished', (kind) => {
  const { tokenizer } = loadFixture(kind)
  const plain = { addSpecialTokens: false }
  const letters = fc.string({
    unit: fc.constantFrom('a', 'e', 't', 'o'),
    minLength: 1,
    maxLength: 4,
  })
  const text = fc.string({ unit: fc.constantFrom('a', 'e', ' '), maxLength: 6 })
  fc.assert(
    fc.property(letters, text, fc.constantFrom('', ' '), (word, before, space) => {
      const ids = tokenizer.encode(`${space}${word}`, plain)
      const output = [...tokenizer.encode(before, plain), ...ids]
      const badWords = new BadWords([word], tokenizer)
      expect(badWords.banned(output, 0, output.length - 1)).toContain(output.at(-1))
    }),
  )
})
