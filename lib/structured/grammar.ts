import type { ByteMachine } from './byte-machine.js'

/** Code points from the first to the second, both included. */
export type CodePoints = readonly [first: number, last: number]

/** What a text may look like: the one form that schemas, patterns, choices and grammars become. */
export type Expression =
  | { readonly kind: 'text'; readonly text: string }
  /** A special token, which is no part of any text. */
  | { readonly kind: 'token'; readonly text: string }
  | { readonly kind: 'set'; readonly ranges: readonly CodePoints[] }
  | { readonly kind: 'sequence'; readonly parts: readonly Expression[] }
  | { readonly kind: 'choice'; readonly options: readonly Expression[] }
  | Repeat
  | { readonly kind: 'rule'; readonly name: string }
  /** What is in all of these; without rules, as in the next two. */
  | { readonly kind: 'intersection'; readonly parts: readonly Expression[] }
  | { readonly kind: 'difference'; readonly of: Expression; readonly without: Expression }
  | { readonly kind: 'machine'; readonly machine: ByteMachine }
  | Counted

export interface Repeat {
  readonly kind: 'repeat'
  readonly body: Expression
  readonly least: number
  /** Infinity: any number */
  readonly most: number
}

/** What is in `of`, without rules, and is so many of what `units` repeats; no part of the three before. */
export interface Counted {
  readonly kind: 'counted'
  readonly of: Expression
  readonly units: Repeat
  readonly least: number
  readonly most: number
}

/** No text matches: an alternative that can be left out, where there are others. */
export class NothingMatches extends RangeError {}

/** What `work` makes of something that some text matches; null where none does. */
export function whereSomeMatch<T>(work: () => T): T | null {
  try {
    return work()
  } catch (error) {
    if (error instanceof NothingMatches) return null
    throw error
  }
}

/** Named expressions that may refer to each other; a text must match `root`. */
export interface Grammar {
  readonly root: string
  readonly rules: ReadonlyMap<string, Expression>
}

/** The grammar of one expression. */
export const alone = (root: Expression): Grammar => ({
  root: 'root',
  rules: new Map([['root', root]]),
})

const LAST_CODE_POINT = 0x10ffff

export const nothing: Expression = { kind: 'sequence', parts: [] }

export const text = (value: string): Expression => ({ kind: 'text', text: value })

export const token = (value: string): Expression => ({ kind: 'token', text: value })

export const rule = (name: string): Expression => ({ kind: 'rule', name })

export const sequence = (...parts: readonly Expression[]): Expression => ({
  kind: 'sequence',
  parts,
})

export const choice = (...options: readonly Expression[]): Expression =>
  options.length === 1 ? options[0]! : { kind: 'choice', options }

export const repeat = (body: Expression, least: number, most: number): Repeat => ({
  kind: 'repeat',
  body,
  least,
  most,
})

/** Texts that are in each of these. */
export const intersection = (...parts: readonly Expression[]): Expression =>
  parts.length === 1 ? parts[0]! : { kind: 'intersection', parts }

/** Texts of one that are not in the other. */
export const difference = (of: Expression, without: Expression): Expression => ({
  kind: 'difference',
  of,
  without,
})

/** Texts of one that are so many of what the other repeats without end. */
export const counted = (of: Expression, units: Repeat, least: number, most: number): Counted => ({
  kind: 'counted',
  of,
  units,
  least,
  most,
})

export const optional = (body: Expression): Expression => repeat(body, 0, 1)

/** One of these characters: 'a' stands for itself, ['a', 'z'] for all from a to z. */
export function oneOf(...members: readonly (string | readonly [string, string])[]): Expression {
  const point = (character: string) => character.codePointAt(0)!
  return set(
    members.map((member) =>
      typeof member === 'string'
        ? [point(member), point(member)]
        : [point(member[0]), point(member[1])],
    ),
  )
}

export const set = (ranges: readonly CodePoints[]): Expression => ({ kind: 'set', ranges })

/** Any text. */
export const anything: Expression = repeat(set([[0, LAST_CODE_POINT]]), 0, Infinity)

/** All code points but these. */
export function complement(ranges: readonly CodePoints[]): readonly CodePoints[] {
  const rest: CodePoints[] = []
  let next = 0
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    if (first > next) rest.push([next, first - 1])
    next = Math.max(next, last + 1)
  }
  if (next <= LAST_CODE_POINT) rest.push([next, LAST_CODE_POINT])
  return rest
}
