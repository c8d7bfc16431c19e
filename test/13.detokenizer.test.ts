import { readFileSync } from 'node:fs'
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Detokenizer, finishedLength } from '../lib/text/detokenizer.js'
import type { DetokenizerOptions } from '../lib/text/detokenizer.js'
import { Tokenizer } from '../lib/text/tokenizer.js'
import { kinds, loadFixture, smollm2, smollm2Strings } from './helpers/tokenizers.js'

// The library's own declarations do not resolve under NodeNext.
const Library = LibraryTokenizer as unknown as new (
  json: unknown,
  config: object,
) => { decode(ids: number[], options: { skip_special_tokens: boolean }): string }

/** Whole decoding by the library that the tokenizers come from. */
function createReference(json: string) {
  const library = new Library(JSON.parse(json), { clean_up_tokenization_spaces: false })
  return (ids: number[], skipSpecialTokens: boolean): string =>
    ids.length === 0 ? '' : library.decode(ids, { skip_special_tokens: skipSpecialTokens })
}

function stream(tokenizer: Tokenizer, ids: readonly number[], options: DetokenizerOptions = {}) {
  const detokenizer = new Detokenizer(tokenizer.pieces, options)
  const deltas = ids.map((id) => detokenizer.push(id))
  return { deltas, shown: deltas.join(''), whole: deltas.join('') + detokenizer.flush() }
}

describe.each(kinds)('%s', (kind) => {
  const { json, tokenizer, strings } = loadFixture(kind)
  const decode = createReference(json)
  const id = fc.integer({ min: 0, max: tokenizer.vocabSize - 1 })

  test('streams every prefix of every string as the whole is decoded', () => {
    for (const { idsWithSpecial, decoded } of strings) {
      for (let length = 0; length <= idsWithSpecial.length; length++) {
        const prefix = idsWithSpecial.slice(0, length)
        for (const skipSpecialTokens of [true, false]) {
          const { whole } = stream(tokenizer, prefix, { skipSpecialTokens })
          expect(whole, decoded).toBe(decode(prefix, skipSpecialTokens))
        }
      }
    }
  })

  test('shows only what the whole text begins with', () => {
    for (const { ids, decodedSkipSpecial } of strings) {
      for (let length = 0; length <= ids.length; length++) {
        const { shown } = stream(tokenizer, ids.slice(0, length))
        expect(decodedSkipSpecial.startsWith(shown)).toBe(true)
      }
    }
  })

  test('streams any tokens as the whole is decoded, broken characters too', () => {
    fc.assert(
      fc.property(fc.array(id, { maxLength: 40 }), fc.boolean(), (ids, skipSpecialTokens) => {
        const { whole } = stream(tokenizer, ids, { skipSpecialTokens })
        expect(whole).toBe(decode(ids, skipSpecialTokens))
      }),
      { numRuns: 500 },
    )
  })

  test('never shows a part of a character', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 20 }), (text) => {
        fc.pre(!text.includes('\uFFFD')) // a character like any other, but the sign of a part too
        const ids = [...tokenizer.encode(text, { addSpecialTokens: false })]
        const { deltas } = stream(tokenizer, ids, { promptTokenIds: [5] })
        for (const delta of deltas) expect(delta).not.toMatch(/\uFFFD|\p{Surrogate}/u)
      }),
      { numRuns: 300 },
    )
  })

  test('continues a prompt as if both were one text', () => {
    const text = fc.array(id, { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(text, text, (prompt, output) => {
        const both = stream(tokenizer, [...prompt, ...output]).whole
        const before = stream(tokenizer, prompt).shown
        const after = stream(tokenizer, output, { promptTokenIds: prompt }).whole
        expect(before + after).toBe(both)
      }),
    )
  })
})

describe('real models', () => {
  const { cases } = JSON.parse(readFileSync('test/fixtures/demo.json', 'utf8')) as {
    cases: { prompt: string; promptIds: number[]; greedyIds: number[]; greedyText: string }[]
  }

  test('the demo model streams the reference text', async () => {
    const tokenizer = await Tokenizer.load('models/demo')
    for (const { prompt, promptIds, greedyIds, greedyText } of cases) {
      expect([...tokenizer.encode(prompt)]).toEqual(promptIds)
      const { shown, whole } = stream(tokenizer, greedyIds, { promptTokenIds: promptIds })
      expect(shown).toBe(greedyText)
      expect(whole).toBe(greedyText)
    }
  })

  test.skipIf(smollm2 === null)('SmolLM2 streams every prefix and any tokens', async () => {
    const tokenizer = await Tokenizer.load(smollm2!)
    const decode = createReference(readFileSync(`${smollm2!}/tokenizer.json`, 'utf8'))
    for (const { text, ids } of smollm2Strings) {
      for (let length = 0; length <= ids.length; length++) {
        const { shown, whole } = stream(tokenizer, ids.slice(0, length), {
          skipSpecialTokens: false,
        })
        expect(whole).toBe(decode(ids.slice(0, length), false))
        expect(text.startsWith(shown)).toBe(true)
      }
    }
    const id = fc.integer({ min: 0, max: tokenizer.vocabSize - 1 })
    fc.assert(
      fc.property(fc.array(id, { maxLength: 40 }), (ids) => {
        const { whole } = stream(tokenizer, ids, { skipSpecialTokens: false })
        expect(whole).toBe(decode(ids, false))
      }),
    )
  })
})

/** A tokenizer of the given tokens; `<…>` in angle brackets are added ones. */
function createTokenizer(tokens: string[], decoder: object | null): Tokenizer {
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]))
  const added = tokens.map((content, id) => ({ id, content, special: content === '<end>' }))
  return new Tokenizer(
    JSON.stringify({
      model: { type: 'BPE', vocab, merges: [] },
      added_tokens: added.filter(({ content }) => /^<[a-z]+>$/.test(content)),
      decoder,
    }),
  )
}

const byteLevel = { type: 'ByteLevel' }
const sentencePiece = {
  type: 'Sequence',
  decoders: [
    { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    { type: 'Strip', content: ' ', start: 1, stop: 0 },
  ],
}

describe('decoders', () => {
  const rows: [string, object | null, string[], string[]][] = [
    ['no decoder joins by spaces', null, ['a', 'b'], ['a', ' b']],
    ['WordPiece', { type: 'WordPiece' }, ['a', '##b', 'c', '!'], ['a', 'b', ' c', '!']],
    [
      'WordPiece without clean-up',
      { type: 'WordPiece', prefix: '@', cleanup: false },
      ['@a', '@b', '!'],
      ['@a', 'b', ' !'],
    ],
    ['Metaspace', { type: 'Metaspace' }, ['▁▁a', '▁b'], ['a', ' b']],
    ['Metaspace, no prefix', { type: 'Metaspace', prepend_scheme: 'never' }, ['▁a'], [' a']],
    ['Metaspace, no prefix (old)', { type: 'Metaspace', add_prefix_space: false }, ['▁a'], [' a']],
    ['Metaspace, other mark', { type: 'Metaspace', replacement: '_' }, ['_a', '_b'], ['a', ' b']],
    [
      'Replace by a regular expression',
      { type: 'Replace', pattern: { Regex: '[xy]' }, content: '$&' },
      ['axby'],
      ['a$&b$&'],
    ],
    ['a byte-level letter beyond the alphabet', byteLevel, ['Ġa', '｜é'], [' a', '｜é']],
    ['an added byte-level token is plain text', byteLevel, ['Ġa', '<ab>', 'é'], [' a', '<ab>', '']],
    ['bytes and text', sentencePiece, ['▁a', '<0x0A>', '▁b'], ['a', '\n', ' b']],
    ['a byte that is the first space', sentencePiece, ['<0x20>', 'a'], ['', 'a']],
    ['one space only is dropped', sentencePiece, ['▁▁', '▁'], [' ', ' ']],
    ['a byte order mark stays', sentencePiece, ['<0xEF>', '<0xBB>', '<0xBF>'], ['', '', '\uFEFF']],
  ]

  test.each(rows)('%s', (_, decoder, tokens, deltas) => {
    const tokenizer = createTokenizer(tokens, decoder)
    const ids = tokens.map((_token, id) => id)
    expect(stream(tokenizer, ids).deltas).toEqual(deltas)
  })

  test.each([
    ['Strip', { type: 'Strip', content: ' ', start: 1, stop: 0 }],
    ['Strip', { type: 'Sequence', decoders: [{ type: 'Fuse' }, { type: 'Strip', stop: 1 }] }],
    ['Replace', { type: 'Replace', pattern: {}, content: ' ' }],
    ['BPEDecoder', { type: 'BPEDecoder' }],
  ])('%s that needs the whole text is refused', (name, decoder) => {
    expect(() => createTokenizer(['a'], decoder)).toThrow(
      `tokenizer.json: decoder ${name} is not supported in this place`,
    )
  })
})

describe('unfinished characters', () => {
  const tokens = ['<0xF0>', '<0x9F>', '<0x99>', '<0x82>', 'a', '<end>']
  const tokenizer = createTokenizer(tokens, sentencePiece)

  test('come out with their last byte', () => {
    expect(stream(tokenizer, [0, 1, 2, 3, 4]).deltas).toEqual(['', '', '', '🙂', 'a'])
  })

  test('that never end show as U+FFFD, before what follows or at the flush', () => {
    expect(stream(tokenizer, [0, 1, 4]).deltas).toEqual(['', '', '\uFFFDa'])
    expect(stream(tokenizer, [0, 1])).toMatchObject({ shown: '', whole: '\uFFFD' })
  })

  test('are flushed once', () => {
    const detokenizer = new Detokenizer(tokenizer.pieces)
    detokenizer.push(0)
    expect([detokenizer.flush(), detokenizer.flush()]).toEqual(['\uFFFD', ''])
  })

  test('go on after a special token that is left out', () => {
    expect(stream(tokenizer, [0, 1, 5, 2, 3]).whole).toBe('🙂')
    const { whole } = stream(tokenizer, [0, 1, 5, 2, 3], { skipSpecialTokens: false })
    expect(whole).toBe('\uFFFD<end>\uFFFD\uFFFD')
  })

  test('of a prompt are finished by the output', () => {
    expect(stream(tokenizer, [2, 3, 4], { promptTokenIds: [4, 0, 1, 5] }).whole).toBe('🙂a')
  })

  test('finishedLength cuts where the text is the same decoded in two parts', () => {
    const byte = fc.oneof(
      fc.integer({ min: 0, max: 255 }),
      fc.constantFrom(0x61, 0x80, 0xbf, 0xc2, 0xe0, 0xed, 0xf0, 0xf4),
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4 }), fc.array(byte, { maxLength: 12 }), (a, b) => {
        const bytes = Uint8Array.of(...a, ...b)
        const end = finishedLength(bytes)
        const decode = (part: Uint8Array) =>
          new TextDecoder('utf-8', { ignoreBOM: true }).decode(part)
        expect(bytes.length - end).toBeLessThanOrEqual(3)
        expect(decode(bytes.subarray(0, end)) + decode(bytes.subarray(end))).toBe(decode(bytes))
      }),
    )
  })
})

test('a prompt of special tokens alone leaves the output the beginning of the text', () => {
  const { tokenizer } = loadFixture('llama2')
  const ids = [...tokenizer.encode('hello', { addSpecialTokens: false })]
  expect(stream(tokenizer, ids, { promptTokenIds: [1] }).whole).toBe('hello')
  expect(stream(tokenizer, ids, { promptTokenIds: [1, ...ids] }).whole).toBe(' hello')
})
