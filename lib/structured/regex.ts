import { type AST, RegExpParser } from '@eslint-community/regexpp'
import {
  choice,
  complement,
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

const ANY: readonly CodePoints[] = [[0, 0x10ffff]]
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
 * is not, and for what no grammar can grant: assertions within a text, back-references, properties.
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
  const inner = elements.slice(starts ? 1 : 0, ends ? -1 : undefined).map(element)
  const anything = repeat(set(ANY), 0, Infinity)
  return sequence(
    ...(anywhere && !starts ? [anything] : []),
    ...inner,
    ...(anywhere && !ends ? [anything] : []),
  )
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
  if (node.kind === 'property') throw unsupported(node)
  const ranges = { digit: DIGITS, space: SPACE, word: WORD }[node.kind]
  return node.negate ? complement(ranges) : ranges
}

function unsupported({ raw, start }: { readonly raw: string; readonly start: number }): RangeError {
  return new RangeError(`"${raw}" at ${start} cannot be granted`)
}
