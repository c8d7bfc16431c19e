import type { ToolCall } from './tool-call.js'

/**
 * Calls in Python: a list of them, or one behind the other. Arguments are named, and are literals, of
 * which a call's JSON is made. null for anything else.
 *
 * @example
 * readPythonCalls("[weather(city='Paris', days=2)]")
 */
export function readPythonCalls(text: string): readonly ToolCall[] | null {
  const calls = parsed(text, (reader) => reader.calls())
  return calls?.length === 0 ? null : calls
}

/** The JSON of a literal of Python's; null for anything else. */
export function pythonValue(text: string): string | null {
  return parsed(text, (reader) => reader.value())
}

function parsed<T>(text: string, read: (reader: PythonReader) => T): T | null {
  try {
    const reader = new PythonReader(text)
    const result = read(reader)
    reader.end()
    return result
  } catch (error) {
    if (error instanceof NotPython) return null
    throw error
  }
}

class NotPython extends Error {}

const NAME = /[A-Za-z_][\w.-]*/y
const PARAMETER = /[A-Za-z_]\w*/y
const NUMBER = /[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y
const QUOTE = /'''|"""|'|"/y
const SPACE = /\s*/y
const VALUE_END = /\s*(?:[,)\]}:]|$)/y
const ESCAPE = /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|(.))/sy
const JSON_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/

const CONSTANTS: Readonly<Record<string, string>> = {
  ...{ True: 'true', False: 'false', None: 'null' },
  ...{ true: 'true', false: 'false', null: 'null' },
}

/** Brackets within brackets; as many as Python itself takes. */
const MAX_DEPTH = 200

/** What stands for a character behind a backslash; others stand for both. */
const ESCAPED: Readonly<Record<string, string>> = {
  ...{ n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', v: '\v', a: '\x07', 0: '\0' },
  ...{ '\\': '\\', "'": "'", '"': '"', '\n': '' },
}

/** Reads literals as JSON, from left to right. Throws NotPython. */
class PythonReader {
  readonly #text: string
  #at = 0
  #depth = 0

  constructor(text: string) {
    this.#text = text
  }

  end(): void {
    this.#take(SPACE)
    if (this.#at < this.#text.length) throw new NotPython()
  }

  calls(): readonly ToolCall[] {
    if (this.#skip('[')) return this.#listed(']', () => this.#call())
    const calls = [this.#call()]
    while (this.#skip(',') || this.#skip(';') || !this.#atEnd()) calls.push(this.#call())
    return calls
  }

  value(): string {
    if (this.#skip('[')) return `[${this.#listed(']', () => this.value()).join(',')}]`
    if (this.#skip('(')) return `[${this.#listed(')', () => this.value()).join(',')}]`
    if (this.#skip('{')) return `{${this.#listed('}', () => this.#member()).join(',')}}`
    const quote = this.#take(QUOTE)
    if (quote !== null) return JSON.stringify(this.#string(quote))
    const number = this.#take(NUMBER)
    if (number !== null) return numberOf(number)
    const constant = this.#take(PARAMETER) ?? ''
    if (!Object.hasOwn(CONSTANTS, constant)) throw new NotPython()
    return CONSTANTS[constant]!
  }

  #call(): ToolCall {
    const name = this.#need(NAME)
    if (!this.#skip('(')) throw new NotPython()
    return { name, arguments: `{${this.#listed(')', () => this.#argument()).join(',')}}` }
  }

  #argument(): string {
    const name = this.#need(PARAMETER)
    if (!this.#skip('=')) throw new NotPython()
    return `${JSON.stringify(name)}:${this.value()}`
  }

  #member(): string {
    const key = this.value()
    if (/^[[{]/.test(key) || !this.#skip(':')) throw new NotPython()
    return `${key.startsWith('"') ? key : JSON.stringify(key)}:${this.value()}`
  }

  /** What stands between commas, up to a bracket. */
  #listed<T>(close: string, read: () => T): T[] {
    if (++this.#depth > MAX_DEPTH) throw new NotPython()
    const items: T[] = []
    while (!this.#skip(close)) {
      if (items.length > 0 && !this.#skip(',')) throw new NotPython()
      if (items.length > 0 && this.#skip(close)) break
      items.push(read())
    }
    this.#depth -= 1
    return items
  }

  /**
   * A string behind its quote. As models leave quotes within strings as they are, one ends the string
   * only where a value may end.
   */
  #string(quote: string): string {
    let value = ''
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at]!
      if (character === '\\') value += this.#escape()
      else if (this.#text.startsWith(quote, this.#at) && this.#endsValue(this.#at + quote.length)) {
        this.#at += quote.length
        return value
      } else {
        value += character
        this.#at += 1
      }
    }
    throw new NotPython()
  }

  #endsValue(at: number): boolean {
    return matchAt(VALUE_END, this.#text, at) !== null
  }

  #escape(): string {
    const [all, byte, unit, point, plain] = matchAt(ESCAPE, this.#text, this.#at) ?? ['\\']
    this.#at += all.length
    if (byte !== undefined || unit !== undefined) {
      return String.fromCharCode(parseInt(byte ?? unit!, 16))
    }
    if (point !== undefined) return String.fromCodePoint(Math.min(parseInt(point, 16), 0x10ffff))
    return ESCAPED[plain ?? ''] ?? all
  }

  #atEnd(): boolean {
    this.#take(SPACE)
    return this.#at === this.#text.length
  }

  /** Passes a character behind space, if it is there. */
  #skip(character: string): boolean {
    this.#take(SPACE)
    if (this.#text[this.#at] !== character) return false
    this.#at += 1
    return true
  }

  #need(pattern: RegExp): string {
    this.#take(SPACE)
    const text = this.#take(pattern)
    if (text === null) throw new NotPython()
    return text
  }

  #take(pattern: RegExp): string | null {
    const match = matchAt(pattern, this.#text, this.#at)
    if (match === null) return null
    this.#at += match[0].length
    return match[0]
  }
}

/** JSON of a number of Python's, which may begin with zeros or hold underscores. Throws for one beyond all. */
function numberOf(text: string): string {
  const plain = text.replaceAll('_', '')
  const value = Number(plain)
  if (!Number.isFinite(value)) throw new NotPython()
  return JSON_NUMBER.test(plain) ? plain : String(value)
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(text)
}
