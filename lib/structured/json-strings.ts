import { describe } from '../check.js'
import type { CodePoints, Expression } from './grammar.js'
import { complement, choice, set, text } from './grammar.js'
import { regexExpression } from './regex.js'

const FORMATS: Readonly<Record<string, string>> = {
  date: '\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\\d|2[0-8])',
  time: '([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)',
  'date-time':
    '\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\\d|2[0-8])T([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)',
  uuid: '[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}',
  email: '[a-zA-Z0-9_+-]{1,30}(\\.[a-zA-Z0-9_+-]{1,30})?@([a-z0-9]{1,30}\\.){1,3}[a-z]{2,10}',
  ipv4: '((25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)\\.){3}(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)',
}

/** The content of a string of a format. Days go to the 28th, so that every date exists. */
export function formatOf(format: unknown): Expression {
  const pattern = typeof format === 'string' ? FORMATS[format] : undefined
  if (pattern !== undefined) return regexExpression(pattern)
  const known = Object.keys(FORMATS).join(', ')
  throw new RangeError(`expected one of ${known}, found ${describe(format)}`)
}

/** The content of a string that holds a match of a pattern. */
export function patternOf(pattern: unknown): Expression {
  if (typeof pattern !== 'string')
    throw new TypeError(`expected a string, found ${describe(pattern)}`)
  return escaped(regexExpression(pattern, { anywhere: true }))
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

/** The same texts as the content of a JSON string. */
function escaped(expression: Expression): Expression {
  switch (expression.kind) {
    case 'text':
      return text(JSON.stringify(expression.text).slice(1, -1))
    case 'set':
      return escapedSet(expression.ranges)
    case 'sequence':
      return { ...expression, parts: expression.parts.map(escaped) }
    case 'choice':
      return { ...expression, options: expression.options.map(escaped) }
    case 'repeat':
      return { ...expression, body: escaped(expression.body) }
    case 'rule':
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
