import { describe } from '../check.js'
import { isPossible } from './automaton.js'
import {
  NothingMatches,
  choice,
  intersection,
  oneOf,
  repeat,
  sequence,
  text,
  type Expression,
} from './grammar.js'
import { anyInteger, anyNumber, digit, fraction, MAX_DIGITS } from './json-values.js'
import { multiplesOf } from './multiples.js'
import { located, type Fields } from './schema-fields.js'
import { formatBounds } from './string-formats.js'
import type { Work } from './work.js'

/** A bound of a number; null: none. `open`: the bound itself is not allowed. */
interface Bound {
  readonly value: number
  readonly open: boolean
}

/** A decimal number: its digits before and after the point. */
interface Decimal {
  readonly whole: string
  readonly rest: string
  readonly open: boolean
}

const LARGEST = 10 ** MAX_DIGITS - 1
/** Beyond it float64 does not tell all integers apart. */
const LARGEST_INTEGER = Number.MAX_SAFE_INTEGER
const anyRest: Expression = repeat(fraction, 0, 1)

/** The numbers of a schema. Throws RangeError or TypeError naming the place of what cannot be granted. */
export function numberSchema(
  type: 'integer' | 'number',
  schema: Fields,
  at: string,
  work: Work,
): Expression {
  const [least, most] = boundsOf(schema, at)
  const all = type === 'integer' ? integers : numbers
  const divisor = numberAt(schema, 'multipleOf', at)
  if (divisor === null) return located(at, () => all(least, most))
  const multiples = located(`${at}/multipleOf`, () => multiplesOf(divisor))
  return located(at, () => {
    const [low, high] = [least?.value ?? -LARGEST, most?.value ?? LARGEST]
    const within = all(least ?? { value: low, open: false }, most ?? { value: high, open: false })
    const both = intersection(within, multiples)
    if (isPossible(both, work)) return both
    throw new NothingMatches(`there is no multiple of ${divisor} from ${low} to ${high}`)
  })
}

function boundsOf(schema: Fields, at: string): [least: Bound | null, most: Bound | null] {
  const format = typeof schema.format === 'string' ? formatBounds(schema.format) : null
  const closed = (value: number | undefined) =>
    value === undefined ? null : { value, open: false }
  const sides = [
    { name: 'minimum', exclusive: 'exclusiveMinimum', sign: 1, also: closed(format?.least) },
    { name: 'maximum', exclusive: 'exclusiveMaximum', sign: -1, also: closed(format?.most) },
  ]
  const [least, most] = sides.map(({ name, exclusive, sign, also }) => {
    // Draft 4 says by true or false whether the bound itself is a value.
    const flag = typeof schema[exclusive] === 'boolean' ? schema[exclusive] : null
    const bound = numberAt(schema, name, at)
    const beyond = flag === null ? numberAt(schema, exclusive, at) : null
    const all = [
      bound === null ? null : { value: bound, open: flag === true },
      beyond === null ? null : { value: beyond, open: true },
      also,
    ]
    return all.reduce((a, b) => (a === null || b === null ? (a ?? b) : tighter(a, b, sign)))
  })
  return [least!, most!]
}

function tighter(a: Bound, b: Bound, sign: number): Bound {
  if (a.value === b.value) return a.open ? a : b
  return sign * (a.value - b.value) > 0 ? a : b
}

function numberAt(schema: Fields, name: string, at: string): number | null {
  const value = schema[name]
  if (value === undefined) return null
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new TypeError(`${at}/${name}: expected a number, found ${describe(value)}`)
}

/** Integers within bounds. Throws RangeError where there is none. */
function integers(least: Bound | null, most: Bound | null): Expression {
  if (least === null && most === null) return anyInteger
  const from =
    least === null ? -LARGEST : least.open ? Math.floor(least.value) + 1 : Math.ceil(least.value)
  const to =
    most === null ? LARGEST : most.open ? Math.ceil(most.value) - 1 : Math.floor(most.value)
  const low = Math.max(from, -LARGEST_INTEGER)
  const high = Math.min(to, LARGEST_INTEGER)
  checkOrder(low, high)
  const options: Expression[] = []
  if (low < 0) options.push(sequence(text('-'), wholes(Math.max(1, -high), -low)))
  if (high >= 0) options.push(wholes(Math.max(0, low), high))
  return choice(...options)
}

/** Numbers within bounds, without an exponent. Throws RangeError where there is none. */
function numbers(least: Bound | null, most: Bound | null): Expression {
  if (least === null && most === null) return anyNumber
  const low = least ?? { value: -LARGEST, open: false }
  const high = most ?? { value: LARGEST, open: false }
  checkOrder(low.value, high.value)
  if (low.value === high.value && (low.open || high.open)) throw noNumber(low.value, high.value)
  const zero: Bound = { value: 0, open: false }
  const options: Expression[] = []
  if (low.value < 0) {
    const upper = high.value > 0 ? zero : high
    options.push(sequence(text('-'), magnitudes(negated(upper), negated(low))))
  }
  if (high.value > 0 || (high.value === 0 && !high.open && !(low.value === 0 && low.open))) {
    options.push(magnitudes(low.value < 0 ? zero : low, high))
  }
  return choice(...options)
}

const negated = ({ value, open }: Bound): Bound => ({ value: -value, open })

/** Numbers that are not negative, from one to the other. */
function magnitudes(least: Bound, most: Bound): Expression {
  const low = decimalOf(least)
  const high = decimalOf(most)
  const first = Number(low.whole)
  const last = Number(high.whole)
  const options: Expression[] = []
  if (first === last) {
    options.push(sequence(text(low.whole), restsBetween(low, high)))
  } else {
    options.push(sequence(text(low.whole), restsFrom(low)))
    if (first + 1 < last) options.push(sequence(wholes(first + 1, last - 1), anyRest))
    if (!(high.open && Number(high.rest) === 0)) {
      options.push(sequence(text(high.whole), restsUpTo(high)))
    }
  }
  return choice(...options)
}

/** What may follow the point, or nothing, so that the number is at least this one. */
function restsFrom({ rest, open }: Decimal): Expression {
  const above = sequence(text('.'), digitsAbove(rest, open))
  return Number(rest) === 0 && !open ? anyRest : above
}

function restsUpTo({ rest, open }: Decimal): Expression {
  const zeros = sequence(text('.'), repeat(text('0'), 1, MAX_DIGITS))
  if (Number(rest) === 0) return choice(text(''), zeros)
  return choice(text(''), sequence(text('.'), digitsBelow(rest, open)))
}

function restsBetween(low: Decimal, high: Decimal): Expression {
  const size = Math.max(low.rest.length, high.rest.length)
  const from = low.rest.padEnd(size, '0')
  const to = high.rest.padEnd(size, '0')
  let shared = 0
  while (shared < size && from[shared] === to[shared]) shared++
  const prefix = from.slice(0, shared)
  if (shared === size) return text(size === 0 ? '' : `.${prefix}`)
  const options: Expression[] = []
  const [a, b] = [Number(from[shared]), Number(to[shared])]
  const at = (value: number, tail: Expression) => sequence(text(`.${prefix}${value}`), tail)
  options.push(at(a, tailAbove(from.slice(shared + 1), low.open)))
  for (let value = a + 1; value < b; value++) options.push(at(value, repeat(digit, 0, MAX_DIGITS)))
  const tail = tailBelow(to.slice(shared + 1), high.open)
  if (tail !== null) options.push(at(b, tail))
  if (Number(from) === 0 && !low.open) options.push(text(''))
  return choice(...options)
}

/** Digits, at least one, that are at least `least` as a fraction. */
function digitsAbove(least: string, open: boolean): Expression {
  const [first = '0', ...others] = least
  const options = [sequence(text(first), tailAbove(others.join(''), open))]
  if (first !== '9') {
    options.push(sequence(oneOf([String(Number(first) + 1), '9']), repeat(digit, 0, MAX_DIGITS)))
  }
  return choice(...options)
}

/** Digits, perhaps none, that are at least `least` as a fraction. */
function tailAbove(least: string, open: boolean): Expression {
  if (Number(least) !== 0) return digitsAbove(least, open)
  if (!open)
    return least === ''
      ? repeat(digit, 0, MAX_DIGITS)
      : choice(text(''), repeat(digit, 1, MAX_DIGITS))
  const zeros = repeat(text('0'), 0, MAX_DIGITS)
  return sequence(zeros, oneOf(['1', '9']), repeat(digit, 0, MAX_DIGITS))
}

function digitsBelow(most: string, open: boolean): Expression {
  const [first = '0', ...others] = most
  const options: Expression[] = []
  if (first !== '0') {
    options.push(sequence(oneOf(['0', String(Number(first) - 1)]), repeat(digit, 0, MAX_DIGITS)))
  }
  const tail = tailBelow(others.join(''), open)
  if (tail !== null) options.push(sequence(text(first), tail))
  return choice(...options)
}

/** Digits, perhaps none, that are at most `most` as a fraction; null: not even none. */
function tailBelow(most: string, open: boolean): Expression | null {
  if (Number(most) !== 0) return choice(text(''), digitsBelow(most, open))
  return open ? null : repeat(text('0'), 0, MAX_DIGITS)
}

/** Whole numbers from `low` to `high`, neither negative. */
function wholes(low: number, high: number): Expression {
  const options: Expression[] = []
  for (let from = low; from <= high;) {
    const to = Math.min(high, 10 ** String(from).length - 1)
    options.push(sameLength(String(from), String(to)))
    from = to + 1
  }
  return choice(...options)
}

/** Numbers of as many digits, from one to the other. */
function sameLength(low: string, high: string): Expression {
  const rest = low.length - 1
  if (low === high) return text(low)
  const [a, b] = [low[0]!, high[0]!]
  if (a === b) return sequence(text(a), sameLength(low.slice(1), high.slice(1)))
  const [zeros, nines] = ['0'.repeat(rest), '9'.repeat(rest)]
  const options: Expression[] = []
  const cutLow = low.slice(1) !== zeros
  const cutHigh = high.slice(1) !== nines
  if (cutLow) options.push(sequence(text(a), sameLength(low.slice(1), nines)))
  const first = Number(a) + (cutLow ? 1 : 0)
  const last = Number(b) - (cutHigh ? 1 : 0)
  if (first <= last) {
    options.push(sequence(oneOf([String(first), String(last)]), repeat(digit, rest, rest)))
  }
  if (cutHigh) options.push(sequence(text(b), sameLength(zeros, high.slice(1))))
  return choice(...options)
}

/** A bound as a decimal of as many digits as numbers may have. */
function decimalOf({ value, open }: Bound): Decimal {
  const shortest = String(Math.min(value, LARGEST))
  const plain = shortest.includes('e') ? value.toFixed(MAX_DIGITS) : shortest
  const [whole = '0', rest = ''] = plain.split('.')
  return { whole, rest: rest.replace(/0+$/, ''), open }
}

function checkOrder(low: number, high: number): void {
  if (low > high) throw noNumber(low, high)
}

function noNumber(low: number, high: number): NothingMatches {
  return new NothingMatches(`there is no such number from ${low} to ${high}`)
}
