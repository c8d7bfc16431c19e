import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { StopMatcher } from '../lib/text/stop-strings.js'

/** The stop string of the whole text that ends first, the longest of those: [start, stop]. */
function findFirst(text: string, stops: readonly string[]): [number, string] | null {
  const found = stops
    .map((stop) => ({ stop, start: text.indexOf(stop) }))
    .filter(({ start }) => start >= 0)
    .sort((a, b) => a.start + a.stop.length - b.start - b.stop.length || a.start - b.start)[0]
  return found === undefined ? null : [found.start, found.stop]
}

/** Length of the longest end of the text that a stop string begins with. */
function longestBeginning(text: string, stops: readonly string[]): number {
  const lengths = stops.flatMap((stop) =>
    Array.from({ length: stop.length }, (_, n) => n).filter((n) => text.endsWith(stop.slice(0, n))),
  )
  return Math.max(0, ...lengths)
}

function run(stops: readonly string[], pieces: readonly string[], includeStop = false) {
  const matcher = new StopMatcher(stops, { includeStop })
  let text = ''
  for (const piece of pieces) {
    const match = matcher.push(piece)
    text += match.text
    if (match.stop !== null) return { text, stop: match.stop }
  }
  return { text: text + matcher.flush(), stop: null }
}

// Few letters, so that beginnings and repetitions of stop strings abound.
const text = fc.string({ unit: fc.constantFrom('a', 'b', '🙂'), maxLength: 30 })
const stop = fc.string({ unit: fc.constantFrom('a', 'b', '🙂'), minLength: 1, maxLength: 5 })
const stops = fc.array(stop, { minLength: 1, maxLength: 4 })
const pieces = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '🙂'), maxLength: 6 }), {
  maxLength: 12,
})

describe('however the text is cut', () => {
  test('the stop string that is complete first ends it', () => {
    fc.assert(
      fc.property(stops, pieces, fc.boolean(), (someStops, somePieces, includeStop) => {
        const whole = somePieces.join('')
        const found = findFirst(whole, someStops)
        const end = found === null ? whole.length : found[0] + (includeStop ? found[1].length : 0)
        expect(run(someStops, somePieces, includeStop)).toEqual({
          text: whole.slice(0, end),
          stop: found?.[1] ?? null,
        })
      }),
      { numRuns: 2000 },
    )
  })

  test('only text that may begin a stop string is held back', () => {
    fc.assert(
      fc.property(stops, text, (someStops, whole) => {
        fc.pre(findFirst(whole, someStops) === null)
        const matcher = new StopMatcher(someStops)
        const shown = Array.from(whole, (letter) => matcher.push(letter).text).join('')
        expect(shown).toBe(whole.slice(0, whole.length - longestBeginning(whole, someStops)))
        expect(shown + matcher.flush()).toBe(whole)
      }),
      { numRuns: 1000 },
    )
  })

  test('text that may not stop passes, but can begin a stop string', () => {
    fc.assert(
      fc.property(stops, text, text, (someStops, early, late) => {
        const matcher = new StopMatcher(someStops)
        const before = matcher.push(early, false)
        const after = matcher.push(late)
        const ends = Array.from(
          late,
          (_, i) =>
            early +
            Array.from(late)
              .slice(0, i + 1)
              .join(''),
        )
        const end = ends.find((whole) => someStops.some((one) => whole.endsWith(one)))
        const longest = someStops
          .filter((one) => end?.endsWith(one))
          .sort((a, b) => b.length - a.length)[0]
        expect(before.stop).toBe(null)
        expect(after.stop).toBe(longest ?? null)
        const cut =
          longest === undefined ? early + late : end!.slice(0, end!.length - longest.length)
        const shown = before.text + after.text + (after.stop === null ? matcher.flush() : '')
        expect(shown).toBe(cut)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('examples', () => {
  test('a stop string over three pieces', () => {
    const matcher = new StopMatcher(['</end>'])
    expect(matcher.push('text</')).toEqual({ text: 'text', stop: null })
    expect(matcher.push('en')).toEqual({ text: '', stop: null })
    expect(matcher.push('d> more')).toEqual({ text: '', stop: '</end>' })
  })

  test('what was held back comes with the character that tells it apart', () => {
    const matcher = new StopMatcher(['</end>'])
    matcher.push('</en')
    expect(matcher.push('try>')).toEqual({ text: '</entry>', stop: null })
  })

  test('a beginning within a beginning is kept', () => {
    expect(run(['aab'], ['aa', 'a', 'b!'])).toEqual({ text: 'a', stop: 'aab' })
  })

  test('the stop string is shown if asked for, what follows it never', () => {
    expect(run(['. '], ['One.', ' Two'], true)).toEqual({ text: 'One. ', stop: '. ' })
  })

  test('of stop strings that end together the longest is named', () => {
    expect(run(['b', 'ab'], ['aab'])).toEqual({ text: 'a', stop: 'ab' })
  })

  test('no stop string lets everything pass', () => {
    expect(run([], ['any', 'thing'])).toEqual({ text: 'anything', stop: null })
  })

  test('what is held back is flushed once', () => {
    const matcher = new StopMatcher(['stop'])
    expect(matcher.push('sto').text).toBe('')
    expect([matcher.flush(), matcher.flush()]).toEqual(['sto', ''])
    expect(matcher.push('p')).toEqual({ text: 'p', stop: null })
  })
})
