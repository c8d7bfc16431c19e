import { type AST, RegExpParser } from '@eslint-community/regexpp'
import {
  anything,
  choice,
  complement,
  difference,
  intersection,
  nothing,
  optional,
  repeat,
  sequence,
  set,
  text,
  type CodePoints,
  type Expression,
} from './grammar.js'

export interface RegexOptions {
  /** Match somewhere in the text, as JSON Schema's `pattern` does, instead of all of it. */
  readonly anywhere?: boolean
}

type Element = AST.Element | AST.QuantifiableElement

const LINE_ENDS: readonly CodePoints[] = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
]
const DIGITS: readonly CodePoints[] = [[0x30, 0x39]]
const WORD: readonly CodePoints[] = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
]
const SPACE: readonly CodePoints[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]

/**
 * A regular expression of JavaScript (with the flag u) as an expression. Throws RangeError for what it
 * is not, and for what no grammar can grant: back-references, looks behind, looks ahead that repeat,
 * and other assertions within a text.
 */
export function regexExpression(
  pattern: string,
  { anywhere = false }: RegexOptions = {},
): Expression {
  let parsed: AST.Pattern
  try {
    parsed = new RegExpParser().parsePattern(pattern, 0, pattern.length, { unicode: true })
  } catch (error) {
    throw new RangeError(error instanceof Error ? error.message : String(error), { cause: error })
  }
  return choice(...parsed.alternatives.map((option) => alternative(option, anywhere)))
}

/** One way to match the whole text: its anchors stand at its ends, or there is room before and behind. */
function alternative({ elements }: AST.Alternative, anywhere: boolean): Expression {
  const starts = isEdge(elements[0], 'start')
  const ends = elements.length > (starts ? 1 : 0) && isEdge(elements.at(-1), 'end')
  const inner = elements.slice(starts ? 1 : 0, ends ? -1 : undefined)
  const matched = before(inner, anywhere && !ends ? anything : nothing)
  return anywhere && !starts ? sequence(anything, matched) : matched
}

/** Elements and then the rest of the text. */
function before(elements: readonly Element[], rest: Expression): Expression {
  return elements.reduceRight((after, node) => joined(node, after), rest)
}

/** A node and the rest of the text, which those that look ahead look at. */
function joined(node: Element, rest: Expression): Expression {
  if (!looksAhead(node)) return sequence(element(node), rest)
  switch (node.type) {
    case 'Assertion': {
      if (node.kind !== 'lookahead') throw unsupported(node)
      const seen = choice(...node.alternatives.map(ahead))
      return node.negate ? difference(rest, seen) : intersection(rest, seen)
    }
    case 'Group':
    case 'CapturingGroup':
      return choice(...node.alternatives.map(({ elements }) => before(elements, rest)))
    case 'Quantifier':
      if (node.min !== 0 || node.max !== 1) throw unsupported(node)
      return choice(joined(node.element, rest), rest)
    default:
      throw unsupported(node)
  }
}

function looksAhead(node: Element): boolean {
  if (node.type === 'Assertion') return node.kind === 'lookahead'
  if (node.type === 'Quantifier') return looksAhead(node.element)
  const groups = node.type === 'Group' || node.type === 'CapturingGroup'
  return groups && node.alternatives.some(({ elements }) => elements.some(looksAhead))
}

/** Rests of a text that begin like this, or are this where it stands at the end. */
function ahead({ elements }: AST.Alternative): Expression {
  const ends = isEdge(elements.at(-1), 'end')
  return before(ends ? elements.slice(0, -1) : elements, ends ? nothing : anything)
}

function isEdge(node: Element | undefined, kind: 'start' | 'end'): boolean {
  return node?.type === 'Assertion' && node.kind === kind
}

function element(node: Element): Expression {
  switch (node.type) {
    case 'Character':
      return text(String.fromCodePoint(node.value))
    case 'CharacterClass':
      return set(classRanges(node))
    case 'CharacterSet':
      return set(setRanges(node))
    case 'Group':
      if (node.modifiers) throw unsupported(node)
      return group(node.alternatives)
    case 'CapturingGroup':
      return group(node.alternatives)
    case 'Quantifier':
      return node.max === 1 && node.min === 0
        ? optional(element(node.element))
        : repeat(element(node.element), node.min, node.max)
    case 'Assertion':
    case 'Backreference':
    case 'ExpressionCharacterClass':
      throw unsupported(node)
    default:
      return node satisfies never
  }
}

function group(alternatives: readonly AST.Alternative[]): Expression {
  return choice(...alternatives.map(({ elements }) => sequence(...elements.map(element))))
}

function classRanges({ elements, negate }: AST.CharacterClass): readonly CodePoints[] {
  const ranges = elements.flatMap((member): readonly CodePoints[] => {
    if (member.type === 'Character') return [[member.value, member.value]]
    if (member.type === 'CharacterClassRange') return [[member.min.value, member.max.value]]
    if (member.type === 'CharacterSet') return setRanges(member)
    throw unsupported(member)
  })
  return negate ? complement(ranges) : ranges
}

function setRanges(node: AST.CharacterSet): readonly CodePoints[] {
  if (node.kind === 'any') return complement(LINE_ENDS)
  if (node.kind === 'property') return propertyRanges(node.raw)
  const ranges = { digit: DIGITS, space: SPACE, word: WORD }[node.kind]
  return node.negate ? complement(ranges) : ranges
}

const properties = new Map<string, readonly CodePoints[]>()

/** Code points that are looked through at once: a text of all would be long to make. */
const CHUNK = 0x800

/** The characters of a property such as \p{L}, found once among all that there are. */
function propertyRanges(raw: string): readonly CodePoints[] {
  let ranges = properties.get(raw)
  if (ranges === undefined) {
    const run = new RegExp(`${raw}+`, 'gu')
    const chunks = Array.from({ length: 0x110000 / CHUNK }, (_, i) => i * CHUNK)
    ranges = joinedRanges(chunks.flatMap((first) => runsFrom(first, run)))
    properties.set(raw, ranges)
  }
  return ranges
}

/** The runs of matches among the characters of a chunk; surrogates are none. */
function runsFrom(first: number, run: RegExp): readonly CodePoints[] {
  if (first === 0xd800) return []
  const all = String.fromCodePoint(...Array.from({ length: CHUNK }, (_, i) => first + i))
  return [...all.matchAll(run)].map(([found]): CodePoints => [
    found.codePointAt(0)!,
    /.$/su.exec(found)![0].codePointAt(0)!,
  ])
}

/** Ranges in ascending order, of which those that follow each other become one. */
function joinedRanges(ranges: readonly CodePoints[]): readonly CodePoints[] {
  const joined: CodePoints[] = []
  for (const [first, last] of ranges) {
    const before = joined.at(-1)
    if (before?.[1] === first - 1) joined[joined.length - 1] = [before[0], last]
    else joined.push([first, last])
  }
  return joined
}

function unsupported({ raw, start }: { readonly raw: string; readonly start: number }): RangeError {
  return new RangeError(`"${raw}" at ${start} cannot be granted`)
}
