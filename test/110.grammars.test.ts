import { describe, expect, it } from 'vitest'
import { MAX_STATES, type Recognizer, type State } from '../lib/structured/recognizer.js'
import { checkStructuredOutputs } from '../lib/structured/spec.js'
import { TokenTrie } from '../lib/structured/token-trie.js'
import { grammar, judge, judgeAll } from './support/grammars.js'
import { randomNumbers } from './support/random-schema.js'

const failure = (options: object) => () => grammar(options)

describe('choices', () => {
  it('take one of the texts as a whole', () => {
    const texts = ['yes', 'yes!', 'no', 'y', 'maybe', '']
    expect(judgeAll({ choice: ['yes', 'yes!', 'no'] }, texts)).toEqual([
      ...['whole', 'whole', 'whole', 'prefix', 'wrong', 'prefix'],
    ])
  })

  it('take characters of several bytes', () => {
    expect(judgeAll({ choice: ['żółw', '日本🐢'] }, ['żółw', '日本🐢', '日本', 'z'])).toEqual([
      ...['whole', 'whole', 'prefix', 'wrong'],
    ])
  })
})

describe('regular expressions', () => {
  const cases: [pattern: string, texts: readonly string[]][] = [
    ['[a-c]{2,3}x?', ['ab', 'abcx', 'abca', 'a', 'x', '']],
    ['^(foo|ba[rz])+$', ['foo', 'bazbar', 'foob', 'fo']],
    ['[^a-z]*', ['', 'A1 ', 'ä', '日🐢', 'a']],
    ['\\d+\\.\\s\\w', ['1. a', '12.\u00a0_', '1.a', 'x']],
    ['a.c', ['abc', 'a\nc', 'a🐢c', 'ac']],
    ['[\\u{1F400}-\\u{1F43F}]', ['🐢', '🐀', '🙂', 'a']],
    ['(?:a|b)??c', ['c', 'ac', 'abc']],
    ['\\p{Lu}\\P{Lu}+', ['Żółw', 'żółw', 'ŻÓŁW', 'A🐢', 'Z\u07ff\u0800\ud7ff\ue000\u{10ffff}']],
    ['\\p{Any}', ['\ud7ff', '\ue000', '\u{10ffff}', '']],
    ['\\p{Script=Han}+', ['\u3400\u3fff\u4000\u4dbf', '\u4dc0', '\u9fff']],
    ['(?=.*\\d)(?!.*--)[a-z\\d-]{4,}', ['a-b1', 'abcd', 'a--1', 'ab1']],
    ['x(?:(?=1)\\d+|(?!.*b)\\w*)?y?$', ['x', 'x12y', 'xcy', 'xby', 'x1b']],
  ]
  it.each(cases)('%j', (pattern, texts) => {
    const whole = new RegExp(`^(?:${pattern})$`, 'u')
    const found = judgeAll({ regex: pattern }, texts).map((verdict) => verdict === 'whole')
    expect(found).toEqual(texts.map((text) => whole.test(text)))
  })

  it.each([
    ['(a', /structuredOutputs.regex: .*Unterminated group/],
    ['(?=a)b', /matches nothing/],
    ['(?<=a)b', /"\(\?<=a\)" at 0 cannot be granted/],
    ['((?=a)b)*', /"\(\(\?=a\)b\)\*" at 0 cannot be granted/],
    ['(a)\\1', /"\\1" at 3 cannot be granted/],
    ['a\\bc', /"\\b" at 1 cannot be granted/],
    ['a^b', /"\^" at 1 cannot be granted/],
    ['\\p{Lx}', /Invalid property name/],
    ['[]', /matches nothing/],
    ['(a{500}){500}', /too large: more than 200000 nodes/],
    ['(){2000000000}', /too large: more than 2000000 expressions/],
    ['(((){2000}){2000}){2000}', /too large: more than 2000000 expressions/],
  ])('refuses %j', (pattern, message) => {
    expect(failure({ regex: pattern })).toThrow(message)
  })
})

/** The states that a recognizer holds. */
function reachable(recognizer: Recognizer): number {
  const found = new Set([recognizer.start])
  for (const { next } of found) for (const state of next) if (state) found.add(state)
  return found.size
}

describe('states', () => {
  it('are forgotten beyond a number, and texts are judged as before', () => {
    const pattern = '[ab]*a[ab]{15}c'
    const recognizer = grammar({ regex: pattern })
    const random = randomNumbers(1)
    for (let text = 0; text < 40; text++) {
      const letters = Array.from({ length: 2000 }, () => (random() < 0.5 ? 'a' : 'b')).join('')
      const ends = /a[ab]{15}$/.test(letters)
      expect(judge(recognizer, `${letters}c`)).toBe(ends ? 'whole' : 'wrong')
      expect(reachable(recognizer)).toBeLessThan(MAX_STATES + 10)
    }
  })
})

describe('masks', () => {
  const letters = Buffer.from('abcdefgh')
  const starts = Int32Array.from({ length: letters.length + 1 }, (_, token) => token)
  const tokens = { bytes: letters, starts, endTokenIds: [] }
  const bytes = 4 // of a mask of these tokens

  /** The states of two grammars along their texts, in turn, each with the letters that may follow. */
  const walk = () => {
    const paths = [
      { regex: 'abcdefgh', text: 'abc', follow: ['a', 'b', 'c', 'd'] },
      { regex: 'a(c|b)[d-h]e', text: 'acd', follow: ['a', 'bc', 'defgh', 'e'] },
    ].map(({ regex, text, follow }) => {
      const recognizer = grammar({ regex })
      const states = [recognizer.start]
      for (const byte of Buffer.from(text)) states.push(recognizer.step(states.at(-1)!, byte)!)
      return states.map((state, i) => ({ recognizer, state, allowed: follow[i]! }))
    })
    return paths[0]!.flatMap((step, i) => [step, paths[1]![i]!])
  }
  const lettersOf = ([mask]: Int32Array) =>
    Array.from(letters.toString())
      .filter((_, token) => ((mask! >>> token) & 1) === 1)
      .join('')

  it('are remembered up to so many bytes over all grammars, and looked up again beyond', () => {
    const trie = new TokenTrie(tokens, 3 * bytes + 1)
    const all = walk()
    const asked: State[] = []
    for (const { recognizer, state, allowed } of [...all, ...all]) {
      expect(lettersOf(trie.mask(recognizer, state))).toBe(allowed)
      asked.push(state)
      const held = all.map(({ state }) => state).filter(({ mask }) => mask !== null)
      expect(new Set(held)).toEqual(new Set(asked.slice(-3)))
    }
    expect(new Set(asked).size).toBe(8)
  })

  it('that were forgotten with their state do not widen the bound', () => {
    const trie = new TokenTrie(tokens, 3 * bytes)
    const all = walk()
    for (const { recognizer, state } of [all[0]!, all[0]!, all[0]!, ...all]) {
      state.forget()
      trie.mask(recognizer, state)
      const held = all.filter(({ state }) => state.mask !== null)
      expect(held.length).toBeLessThanOrEqual(3)
      expect(state.mask).not.toBeNull()
    }
  })
})

describe('grammars', () => {
  it('follow rules, calls within calls, repetitions and comments', () => {
    const source = `
# balanced
root ::= item ("," item){0,2}
item ::= "(" root ")" | [a-c\\]]+ "\\x21"?`
    const texts = ['a', '(a,(b!)),c', 'a,b,c,a', ']', '(a', ')', 'a!!']
    expect(judgeAll({ grammar: source }, texts)).toEqual([
      ...['whole', 'whole', 'wrong', 'whole', 'prefix', 'wrong', 'wrong'],
    ])
  })

  it('nest as deep as a text does', () => {
    const deep = grammar({ grammar: 'root ::= "(" root ")" | ""' })
    expect(judge(deep, '('.repeat(3000) + ')'.repeat(3000))).toBe('whole')
    expect(judge(deep, '('.repeat(3000) + ')'.repeat(3001))).toBe('wrong')
  })

  it.each([
    ['root ::= (', /line 1, column 11: expected "\)", found the end/],
    ['a ::= "b"', /expected a rule "root", found none/],
    ['root ::= other', /no rule "other"/],
    ['root ::= "a\n"', /line 1, column 12: expected ", found/],
    ['root ::= [z-a]', /range in rising order/],
    ['root ::= "a"{2,1}', /m of at least n/],
    ['root ::= a\na ::= ""? root "x"', /rule "root" begins with itself/],
    ['root ::= a a b\na ::= ""\nb ::= a b?', /rule "b" begins with itself/],
    ['root ::= "\\xZZ"', /2 hexadecimal digits/],
  ])('refuses %j', (source, message) => {
    expect(failure({ grammar: source })).toThrow(message)
  })
})

describe('the option', () => {
  it.each([
    [3, /structuredOutputs: expected an object, found 3/],
    [{}, /expected one of json, regex, choice and grammar/],
    [{ regex: 'a', choice: ['b'] }, /expected one of json/],
    [{ regexp: 'a' }, /regexp.*did you mean.*regex/i],
    [{ choice: [] }, /at least one text/],
    [{ choice: [''] }, /choice\[0\]: expected a string that is not empty/],
    [
      { json: {}, disableAnyWhitespace: 1 },
      /disableAnyWhitespace: expected true or false, found 1/,
    ],
    [
      { regex: 'a', disableAnyWhitespace: true },
      /disableAnyWhitespace: expected none beside regex, found true/,
    ],
    [{ disableAnyWhitespace: true }, /expected one of json/],
    [{ grammar: 'x'.repeat(65_537) }, /at most 65536 characters, found 65537/],
  ])('refuses %j', (value, message) => {
    expect(() => checkStructuredOutputs(value)).toThrow(message)
  })
})
