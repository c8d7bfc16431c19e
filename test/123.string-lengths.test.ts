import { describe, expect, it } from 'vitest'
import { grammar, judge } from './support/grammars.js'

const LETTERS = ['a', 'b', 'é', '\n']
const LONGEST = 6

/** All texts of the letters up to a length, shortest first. */
function texts(): readonly string[] {
  const all = ['']
  for (const text of all) {
    if (text.length < LONGEST) all.push(...LETTERS.map((letter) => text + letter))
  }
  return all
}

describe('strings with a pattern and a length', () => {
  it.each<[pattern: string, least: number, most: number]>([
    ['^(?:aa)*$', 3, 5],
    ['^(?:a|bb)*é$', 2, 4],
    ['^[^b]*$', 0, 2],
    ['b\\n?é', 0, 3],
    ['^a{2,}|b$', 3, Infinity],
    ['^(?!.*b)(?:a|é|\\n)+$', 1, 4],
    ['', 0, 0],
    ['', 4, 4],
    ['^(?:aé|b)+$', 1, 1],
  ])('%s, from %d to %d characters, go on where some of them do', (pattern, least, most) => {
    const recognizer = grammar({
      json: {
        type: 'string',
        pattern,
        minLength: least,
        ...(most < Infinity && { maxLength: most }),
      },
    })
    const regex = new RegExp(pattern, 'u')
    const whole = texts().filter(
      (text) => regex.test(text) && least <= text.length && text.length <= most,
    )
    const begun = new Set(whole.flatMap((text) => Array.from(text, (_, i) => text.slice(0, i + 1))))
    const ends = new Set(whole)
    expect(ends.size).toBeGreaterThan(0)
    for (const text of texts()) {
      const written = JSON.stringify(text)
      expect([text, judge(recognizer, written)]).toEqual([text, ends.has(text) ? 'whole' : 'wrong'])
      // Of the longest texts it is not known here whether more may follow.
      if (text === '' || (text.length === LONGEST && most === Infinity)) continue
      const verdict = judge(recognizer, written.slice(0, -1))
      expect([text, verdict]).toEqual([text, begun.has(text) ? 'prefix' : 'wrong'])
    }
  })

  it('end within a character only by what completes it', () => {
    const recognizer = grammar({ json: { pattern: '^é+$', maxLength: 2 } })
    const [first, second] = Buffer.from('é')
    const bytes = [0x22, first!, second!, first!, second!]
    const state = bytes.reduce((at, byte) => recognizer.step(at, byte)!, recognizer.start)
    expect(recognizer.step(state, first!)).toBeNull()
    expect(recognizer.step(state, 0x22)?.mayEnd).toBe(true)
  })

  it.each([
    [{ format: 'email', maxLength: 254 }, `"${'a'.repeat(20)}@example.com"`],
    [
      { format: 'uri', minLength: 100, maxLength: 2048 },
      `"https://a.example.com/${'x'.repeat(80)}"`,
    ],
    [{ pattern: '^\\p{L}+$', maxLength: 65_535 }, `"${'ż'.repeat(9000)}"`],
    [{ maxLength: 9000, minLength: 9000 }, `"${'\u{1f422}'.repeat(9000)}"`],
    [{ pattern: '^(?!\\s*$).+', maxLength: 2000 }, `"${' '.repeat(1999)}."`],
  ])('take no more room than their parts: %j', (schema, whole) => {
    const several = { type: 'array', items: schema, maxItems: 2 }
    const recognizer = grammar({ json: several })
    expect(judge(recognizer, `[${whole}]`)).toBe('whole')
    expect(judge(recognizer, `[${whole.slice(0, -1).repeat(2)}${'x'.repeat(9000)}`)).toBe('wrong')
  })
})
