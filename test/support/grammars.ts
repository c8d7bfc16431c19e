import { expect } from 'vitest'
import { compileGrammar } from '../../lib/structured/compile.js'
import type { Recognizer, State } from '../../lib/structured/recognizer.js'
import { checkStructuredOutputs } from '../../lib/structured/spec.js'
import { randomNumbers } from './random-schema.js'

/** What follows outputs of `structuredOutputs`. */
export function grammar(options: object): Recognizer {
  return compileGrammar(checkStructuredOutputs(options)!)
}

/** Whether a text is complete, could go on to be, or neither. */
export function judge(recognizer: Recognizer, text: string): 'whole' | 'prefix' | 'wrong' {
  let state: State | null = recognizer.start
  for (const byte of Buffer.from(text)) {
    state = recognizer.step(state, byte)
    if (state === null) return 'wrong'
  }
  return state.mayEnd ? 'whole' : 'prefix'
}

export function judgeAll(options: object, texts: readonly string[]) {
  const recognizer = grammar(options)
  return texts.map((text) => judge(recognizer, text))
}

/** Texts that a grammar allows: those of a hundred that have ended, of which there must be some. */
export function randomTexts(recognizer: Recognizer): readonly string[] {
  const ended = endedTexts(recognizer, 100)
  expect(ended).not.toEqual([])
  return ended
}

/** Of so many texts by random bytes, those that have ended. */
export function endedTexts(recognizer: Recognizer, count: number): readonly string[] {
  const random = randomNumbers(7)
  const texts = Array.from({ length: count }, () => randomText(recognizer, random))
  return texts.filter((text) => text !== null)
}

/**
 * A text that a grammar allows, by random bytes; it ends where it may, the sooner the longer it is.
 * Null where it has not ended within so many bytes.
 */
function randomText(recognizer: Recognizer, random: () => number, most = 200): string | null {
  const bytes: number[] = []
  let state = recognizer.start
  while (bytes.length < most) {
    const ways = Array.from({ length: 256 }, (_, byte) => byte).flatMap((byte) => {
      const next = recognizer.step(state, byte)
      return next === null ? [] : [{ byte, next }]
    })
    if (!state.mayEnd && ways.length === 0) throw new Error('no text goes on so')
    if (state.mayEnd && (ways.length === 0 || random() < 0.2)) return Buffer.from(bytes).toString()
    // What closes a string, a list or an object is rare among all bytes.
    const closing = ways.filter(({ byte }) => '"]},:'.includes(String.fromCharCode(byte)))
    const among = closing.length > 0 && random() < 0.3 ? closing : ways
    const { byte, next } = among[Math.floor(random() * among.length)]!
    bytes.push(byte)
    state = next
  }
  return null
}
