import {
  checkArray,
  checkBoolean,
  checkOptions,
  checkText,
  describe,
  outOfRange,
  wrongType,
} from '../check.js'
import { withCause } from '../errors.js'
import type { Thoughts } from '../text/reply-formats/thoughts.js'

/**
 * What an output must look like: exactly one of json, regex, choice and grammar.
 *
 * @example
 * await engine.generate(prompt, { structuredOutputs: { choice: ['yes', 'no'] } })
 */
export interface StructuredOutputs {
  /**
   * A JSON Schema, as an object or its text; `true` or {} for any JSON value. Or a schema of a library
   * that tells its JSON Schema by the Standard JSON Schema interface, such as Zod's.
   */
  readonly json?: object | string | boolean
  /** A regular expression of JavaScript that the whole output matches. */
  readonly regex?: string
  /** One of these texts. */
  readonly choice?: readonly string[]
  /** A grammar in GBNF with a rule `root`. */
  readonly grammar?: string
  /** JSON on one line, with one space at most behind a comma or colon. Default false. */
  readonly disableAnyWhitespace?: boolean
}

/** A checked description; its text is also the key that compiled grammars are cached by. */
export interface GrammarSpec {
  readonly kind: 'json' | 'regex' | 'choice' | 'grammar'
  /** Of json and choice their JSON. */
  readonly source: string
  /** JSON without any white space but single spaces. */
  readonly compact: boolean
}

/** What a whole output looks like. */
export interface OutputSpec extends GrammarSpec {
  /** What may come before the text that follows the grammar; null: nothing. */
  readonly thoughts: Thoughts | null
}

/** Characters of one description. */
const MAX_SOURCE = 65_536
const KINDS = ['json', 'regex', 'choice', 'grammar'] as const
const KNOWN: ReadonlySet<string> = new Set([...KINDS, 'disableAnyWhitespace'])

/**
 * Checks the option `structuredOutputs`. Throws TypeError or RangeError that names it and what was
 * expected; what the grammar itself says is checked when it is compiled.
 */
export function checkStructuredOutputs(value: unknown): GrammarSpec | null {
  if (value === undefined) return null
  if (typeof value !== 'object' || value === null) {
    throw wrongType('structuredOutputs', 'an object', value)
  }
  const raw = checkOptions(value, 'structuredOutputs option', KNOWN)
  const given = KINDS.filter((kind) => raw[kind] !== undefined)
  const [kind] = given
  if (kind === undefined || given.length > 1) {
    throw outOfRange('structuredOutputs', 'one of json, regex, choice and grammar', value)
  }
  const name = `structuredOutputs.${kind}`
  const source = sourceOf(kind, name, raw[kind])
  if (source.length > MAX_SOURCE) {
    throw outOfRange(name, `at most ${MAX_SOURCE} characters`, source.length)
  }
  return { kind, source, compact: isCompact(kind, raw.disableAnyWhitespace ?? false) }
}

function isCompact(kind: GrammarSpec['kind'], value: unknown): boolean {
  const name = 'structuredOutputs.disableAnyWhitespace'
  const compact = checkBoolean(name, value)
  if (compact && kind !== 'json') throw outOfRange(name, `none beside ${kind}`, compact)
  return compact
}

function sourceOf(kind: GrammarSpec['kind'], name: string, value: unknown): string {
  switch (kind) {
    case 'json':
      return schemaText(name, value)
    case 'choice': {
      const texts = checkArray(name, value, checkText)
      if (texts.length === 0) throw outOfRange(name, 'at least one text', value)
      return JSON.stringify(texts)
    }
    case 'regex':
    case 'grammar':
      return checkText(name, value)
    default:
      return kind satisfies never
  }
}

function schemaText(name: string, value: unknown): string {
  const standard = standardSchemaOf(name, value)
  if (standard !== null) return JSON.stringify(standard)
  if (typeof value === 'boolean' || (typeof value === 'object' && value !== null)) {
    return JSON.stringify(value)
  }
  const text = checkText(name, value)
  try {
    return JSON.stringify(JSON.parse(text))
  } catch (cause) {
    throw new RangeError(`${name}: expected JSON, found ${(cause as Error).message}`, { cause })
  }
}

/** Part of the Standard JSON Schema interface: https://standardschema.dev */
interface StandardSchema {
  readonly vendor?: string
  readonly jsonSchema?: { readonly input: (options: { readonly target: string }) => unknown }
}

/** What a library's schema reads, as its parser gets it from an output; null where it is none. */
function standardSchemaOf(name: string, value: unknown): unknown {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return null
  const standard = (value as { readonly '~standard'?: StandardSchema })['~standard']
  if (standard === undefined || isConverted(value)) return null
  if (standard.jsonSchema === undefined) {
    throw new TypeError(
      `${name}: a schema of ${describe(standard.vendor)} does not tell its JSON Schema; convert it first`,
    )
  }
  try {
    return standard.jsonSchema.input({ target: 'draft-2020-12' })
  } catch (cause) {
    throw new RangeError(`${name}: ${withCause(cause)}`, { cause })
  }
}

/** Whether Zod made this JSON Schema of one of its own, of which it still tells. */
function isConverted(value: object): boolean {
  const plain = Object.getPrototypeOf(value) === Object.prototype
  return plain && !Object.keys(value).includes('~standard')
}
