import {
  choice,
  complement,
  oneOf,
  optional,
  repeat,
  rule,
  sequence,
  set,
  text,
} from './grammar.js'
import type { CodePoints, Expression } from './grammar.js'

/** Digits before and after the point: enough for every number that a float64 tells apart. */
export const MAX_DIGITS = 15
/** Spaces behind a line end. */
const MAX_INDENT = 20

export const digit = oneOf(['0', '9'])
const leading = oneOf(['1', '9'])
const whole = choice(text('0'), sequence(leading, repeat(digit, 0, MAX_DIGITS - 1)))
const exponent = sequence(oneOf('e', 'E'), optional(oneOf('+', '-')), repeat(digit, 1, 2))
export const fraction = sequence(text('.'), repeat(digit, 1, MAX_DIGITS))

const QUOTE: CodePoints = [0x22, 0x22]
const BACKSLASH: CodePoints = [0x5c, 0x5c]

/** A character of a string, as it is or by a short escape. */
export const character = choice(
  set(complement([[0, 0x1f], QUOTE, BACKSLASH])),
  sequence(text('\\'), oneOf('"', '\\', 'b', 'f', 'n', 'r', 't')),
)

/** The content of any string. */
export const characters = repeat(character, 0, Infinity)

/** Before, between and after what brackets hold. */
export const ws = rule('ws')
export const comma = rule('comma')
export const anyString = rule('string')
export const anyInteger = rule('integer')
export const anyNumber = rule('number')
export const anyValue = rule('value')

const oneSpace = optional(text(' '))
const line = sequence(text('\n'), repeat(oneOf(' ', '\t'), 0, MAX_INDENT))

/**
 * What all JSON grammars share. Every character has one spelling: as it is, or by a short escape where
 * JSON wants one; so lengths and names can be compared as they are written. White space stands only
 * where models write it and is bounded, or one could go on with it for ever.
 *
 * @param compact no white space but one space behind a comma or colon
 */
export const jsonRules = (compact: boolean): ReadonlyMap<string, Expression> =>
  new Map([
    ['ws', compact ? sequence() : choice(oneSpace, line)],
    ['comma', sequence(text(','), compact ? oneSpace : ws)],
    ...VALUES,
  ])

const VALUES: readonly (readonly [string, Expression])[] = [
  ['string', quoted(characters)],
  ['integer', sequence(optional(text('-')), whole)],
  ['number', sequence(optional(text('-')), whole, optional(fraction), optional(exponent))],
  [
    'value',
    choice(
      ...['object', 'array', 'string', 'number'].map(rule),
      ...['true', 'false', 'null'].map(text),
    ),
  ],
  ['object', listOf('{', member(anyString, anyValue), '}', 0, Infinity)],
  ['array', listOf('[', anyValue, ']', 0, Infinity)],
]

export function quoted(content: Expression): Expression {
  return sequence(text('"'), content, text('"'))
}

export function member(name: Expression, value: Expression): Expression {
  return sequence(name, text(':'), oneSpace, value)
}

/** Elements with commas between two brackets. */
export function listOf(
  open: string,
  element: Expression,
  close: string,
  least: number,
  most: number,
): Expression {
  const more = sequence(comma, element)
  const some = sequence(element, repeat(more, Math.max(0, least - 1), most - 1), ws)
  const elements = most === 0 ? sequence() : least === 0 ? optional(some) : some
  return sequence(text(open), ws, elements, text(close))
}

/** A value as JSON writes it. */
export function literal(value: unknown): Expression {
  return text(JSON.stringify(value))
}
