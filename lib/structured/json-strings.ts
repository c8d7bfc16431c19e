import { describe } from '../check.js'
import { isPossible } from './automaton.js'
import type { CodePoints, Expression } from './grammar.js'
import { NothingMatches, choice, complement, counted, intersection, set, text } from './grammar.js'
import * as json from './json-values.js'
import { regexExpression } from './regex.js'
import { count, located, type Fields } from './schema-fields.js'
import { formatPattern } from './string-formats.js'
import type { Work } from './work.js'

/** Patterns that a string must match all of, where schemas are merged. */
export class Patterns {
  constructor(readonly all: readonly unknown[]) {}
}

/**
 * The strings of a schema. A format beside a pattern that no match of it has says nothing. Throws
 * RangeError or TypeError naming the place of what cannot be granted.
 */
export function stringSchema(schema: Fields, at: string, work: Work): Expression {
  const { minLength, maxLength, pattern, format } = schema
  const least = count(minLength ?? 0, `${at}/minLength`)
  const most = count(maxLength ?? Infinity, `${at}/maxLength`)
  if (least > most) throw new NothingMatches(`${at}: minLength is above maxLength`)
  const formats = located(`${at}/format`, () => formatOf(format))
  const listed = pattern instanceof Patterns ? pattern.all : [pattern]
  const patterns = listed
    .filter((each) => each !== undefined)
    .map((each) => located(`${at}/pattern`, () => patternOf(each)))
  if (patterns.length + formats.length === 0 && least === 0 && most === Infinity)
    return json.anyString
  const ways = [[...patterns, ...formats], ...(patterns.length > 0 ? [patterns] : [])]
  const contents = ways.map((way) => bounded(allOf(way), least, most))
  const content = located(at, () => contents.find((each) => isPossible(each, work)))
  if (content === undefined) throw new NothingMatches(`${at}: no string matches all of this`)
  return json.quoted(content)
}

function allOf(contents: readonly Expression[]): Expression {
  return contents.length === 0 ? json.characters : intersection(...contents)
}

function bounded(content: Expression, least: number, most: number): Expression {
  if (least === 0 && most === Infinity) return content
  return counted(content, json.characters, least, most)
}

/** The content of a string that holds a match of a pattern. */
export function patternOf(pattern: unknown): Expression {
  if (typeof pattern !== 'string')
    throw new TypeError(`expected a string, found ${describe(pattern)}`)
  return escaped(regexExpression(pattern, { anywhere: true }))
}

/** The content of a string of a format, if that says anything. */
function formatOf(format: unknown): Expression[] {
  if (format === undefined) return []
  if (typeof format !== 'string')
    throw new TypeError(`expected a string, found ${describe(format)}`)
  const pattern = formatPattern(format)
  return pattern === null ? [] : [escaped(regexExpression(pattern))]
}

/** Characters that JSON does not let stand as they are, by how they are written. */
const ESCAPES = new Map(
  ['"', '\\', '\b', '\f', '\n', '\r', '\t'].map((character) => [
    character.codePointAt(0)!,
    JSON.stringify(character).slice(1, -1),
  ]),
)
const WRITABLE = complement([
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
])

/** The same texts as the content of a JSON string. What stands in several places is one afterwards too. */
function escaped(expression: Expression): Expression {
  const known = new Map<Expression, Expression>()
  const of = (part: Expression): Expression => {
    let found = known.get(part)
    if (found === undefined) known.set(part, (found = escapedBy(of, part)))
    return found
  }
  return of(expression)
}

function escapedBy(of: (part: Expression) => Expression, expression: Expression): Expression {
  switch (expression.kind) {
    case 'text':
      return text(JSON.stringify(expression.text).slice(1, -1))
    case 'set':
      return escapedSet(expression.ranges)
    case 'sequence':
    case 'intersection':
      return { ...expression, parts: expression.parts.map(of) }
    case 'choice':
      return { ...expression, options: expression.options.map(of) }
    case 'repeat':
      return { ...expression, body: of(expression.body) }
    case 'difference':
      return { ...expression, of: of(expression.of), without: of(expression.without) }
    case 'token':
    case 'rule':
    case 'machine':
    case 'counted':
      return expression
    default:
      return expression satisfies never
  }
}

function escapedSet(ranges: readonly CodePoints[]): Expression {
  const plain = ranges.flatMap(([first, last]) =>
    WRITABLE.map(([from, to]): CodePoints => [Math.max(first, from), Math.min(last, to)]).filter(
      ([from, to]) => from <= to,
    ),
  )
  const short = [...ESCAPES].filter(([point]) =>
    ranges.some(([first, last]) => first <= point && point <= last),
  )
  return choice(
    ...(plain.length > 0 ? [set(plain)] : []),
    ...short.map(([, escape]) => text(escape)),
  )
}
