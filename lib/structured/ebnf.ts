import { choice, complement, nothing, repeat, rule, sequence, set, text } from './grammar.js'
import type { CodePoints, Expression, Grammar } from './grammar.js'

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 }
const NAME = /[a-zA-Z_][\w-]*/y
const SKIPPED = /(?:\s|#[^\n]*)*/y

/**
 * Reads a grammar in GBNF, the EBNF of llama.cpp, XGrammar and vLLM: rules `name ::= …` of "literals",
 * [classes], (groups), `|` and the repetitions `* + ? {n} {n,} {n,m}`; `#` begins a comment; a text must
 * match the rule `root`. Throws RangeError with line and column where it is none.
 *
 * @example
 * parseEbnf('root ::= "yes" | "no" "!"*')
 */
export function parseEbnf(source: string): Grammar {
  return new EbnfParser(source).parse()
}

class EbnfParser {
  readonly #source: string
  #at = 0

  constructor(source: string) {
    this.#source = source
  }

  parse(): Grammar {
    const rules = new Map<string, Expression>()
    this.#skip()
    while (this.#at < this.#source.length) {
      const name = this.#name()
      if (name === null) throw this.#wrong('a rule')
      if (rules.has(name)) throw this.#wrong(`no second rule "${name}"`)
      this.#skip()
      this.#expect('::=')
      rules.set(name, this.#options())
      this.#skip()
    }
    if (!rules.has('root')) throw new RangeError('expected a rule "root", found none')
    return { root: 'root', rules }
  }

  #options(): Expression {
    const options = [this.#sequence()]
    while (this.#take('|')) options.push(this.#sequence())
    return choice(...options)
  }

  #sequence(): Expression {
    const parts: Expression[] = []
    for (;;) {
      this.#skip()
      const part = this.#element()
      if (part === null) return parts.length === 0 ? nothing : sequence(...parts)
      parts.push(this.#repetition(part))
    }
  }

  /** null at the end of a sequence. A name before `::=` begins the next rule. */
  #element(): Expression | null {
    if (this.#take('"')) return this.#literal()
    if (this.#take('[')) return this.#class()
    if (this.#take('(')) {
      const inner = this.#options()
      this.#skip()
      this.#expect(')')
      return inner
    }
    const begin = this.#at
    const name = this.#name()
    if (name === null) return null
    this.#skip()
    if (!this.#source.startsWith('::=', this.#at)) return rule(name)
    this.#at = begin
    return null
  }

  #repetition(body: Expression): Expression {
    if (this.#take('*')) return repeat(body, 0, Infinity)
    if (this.#take('+')) return repeat(body, 1, Infinity)
    if (this.#take('?')) return repeat(body, 0, 1)
    if (!this.#take('{')) return body
    const [, least, comma, most] = /^\s*(\d+)\s*(,?)\s*(\d*)\s*\}/.exec(this.#rest) ?? []
    if (least === undefined) throw this.#wrong('{n}, {n,} or {n,m}')
    this.#at = this.#source.indexOf('}', this.#at) + 1
    const upper = comma === '' ? Number(least) : most === '' ? Infinity : Number(most)
    if (upper < Number(least)) throw this.#wrong('a repetition with m of at least n')
    return repeat(body, Number(least), upper)
  }

  #literal(): Expression {
    let content = ''
    while (!this.#take('"')) content += String.fromCodePoint(this.#character('"'))
    return text(content)
  }

  #class(): Expression {
    const negated = this.#take('^')
    const ranges: CodePoints[] = []
    while (!this.#take(']')) {
      const first = this.#character(']')
      const isRange = this.#source[this.#at] === '-' && this.#source[this.#at + 1] !== ']'
      if (isRange) this.#at++
      const last = isRange ? this.#character(']') : first
      if (last < first) throw this.#wrong('a range in rising order')
      ranges.push([first, last])
    }
    return set(negated ? complement(ranges) : ranges)
  }

  /** One character, perhaps escaped, of a literal or class that `close` ends. */
  #character(close: string): number {
    const point = this.#source.codePointAt(this.#at)
    if (point === undefined || point === 0x0a) throw this.#wrong(close)
    this.#at += point > 0xffff ? 2 : 1
    if (point !== 0x5c) return point
    const escape = this.#source[this.#at++] ?? ''
    const digits = HEX_DIGITS[escape]
    if (digits === undefined) return (ESCAPES[escape] ?? escape).codePointAt(0) ?? 0x5c
    const hex = this.#source.slice(this.#at, this.#at + digits)
    const value = Number.parseInt(hex, 16)
    if (!/^[0-9a-fA-F]+$/.test(hex) || hex.length < digits || value > 0x10ffff) {
      throw this.#wrong(`${digits} hexadecimal digits of a character`)
    }
    this.#at += digits
    return value
  }

  #name(): string | null {
    NAME.lastIndex = this.#at
    const name = NAME.exec(this.#source)?.[0] ?? null
    this.#at += name?.length ?? 0
    return name
  }

  #take(token: string): boolean {
    const there = this.#source.startsWith(token, this.#at)
    if (there) this.#at += token.length
    return there
  }

  #expect(token: string): void {
    if (!this.#take(token)) throw this.#wrong(`"${token}"`)
  }

  #skip(): void {
    SKIPPED.lastIndex = this.#at
    this.#at += SKIPPED.exec(this.#source)?.[0].length ?? 0
  }

  get #rest(): string {
    return this.#source.slice(this.#at)
  }

  #wrong(expected: string): RangeError {
    const before = this.#source.slice(0, this.#at).split('\n')
    const found = this.#rest === '' ? 'the end' : JSON.stringify(this.#rest.slice(0, 12))
    const place = `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`
    return new RangeError(`${place}: expected ${expected}, found ${found}`)
  }
}
