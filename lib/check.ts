import { EngineError } from './errors.js'

/** Options as a caller without types may write them. */
export type RawOptions = Readonly<Record<string, unknown>>

/** Whether a value is an object of named values, as JSON has them. */
export function isRecord(value: unknown): value is RawOptions {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An object of named values; one that is absent has none. */
export function recordOf(name: string, value: unknown): RawOptions {
  if (value === null || value === undefined) return {}
  if (isRecord(value)) return value
  throw wrongType(name, 'an object', value)
}

/** What an option was set to, for the end of a message: `"x"`, `-1`, `null`, `an array`. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'string') return JSON.stringify(shorten(value))
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value === 'bigint') return `${value}n`
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : 'an array'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

/** The value has another type than expected. */
export function wrongType(name: string, expected: string, found: unknown): TypeError {
  return new TypeError(`${name}: expected ${expected}, found ${describe(found)}`)
}

/** The value has the right type but is not one of those expected. */
export function outOfRange(name: string, expected: string, found: unknown): RangeError {
  return new RangeError(`${name}: expected ${expected}, found ${describe(found)}`)
}

/** The options as a record. Throws TypeError unless they are a plain object with known names. */
export function checkOptions(
  options: unknown,
  what: string,
  names: ReadonlySet<string>,
): RawOptions {
  if (!isRecord(options)) throw wrongType(`${what}s`, 'an object', options)
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined && !names.has(name)) throw unknownName(name, what, names)
  }
  return options
}

/** Throws EngineError `not_supported` where one of the options that have not landed is given. */
export function refuseUnlanded(options: RawOptions, names: readonly string[], path = ''): void {
  const name = names.find((candidate) => options[candidate] !== undefined)
  if (name === undefined) return
  throw new EngineError('not_supported', `${path}${name} is not supported by this version`)
}

/** Throws EngineError `not_supported` for a field of `name` that is left over, unless it is null. */
export function refuseOthers(name: string, others: RawOptions): void {
  const other = Object.keys(others).find((field) => others[field] != null)
  if (other === undefined) return
  throw new EngineError('not_supported', `${name}.${other}: not supported by this version`)
}

function unknownName(name: string, what: string, names: ReadonlySet<string>): TypeError {
  const meant = nearestName(name, names)
  const hint = meant === null ? '' : `; did you mean ${meant}?`
  return new TypeError(`unknown ${what} ${JSON.stringify(shorten(name))}${hint}`)
}

/** The known name that a misspelled or snake_case one most likely stands for. */
function nearestName(name: string, names: ReadonlySet<string>): string | null {
  const plain = (text: string): string => text.replace(/[_-]/g, '').toLowerCase()
  const wanted = plain(name)
  let best: string | null = null
  let least = Math.min(3, Math.floor(wanted.length / 3) + 1)
  for (const candidate of names) {
    const distance = editDistance(wanted, plain(candidate))
    if (distance < least) [best, least] = [candidate, distance]
  }
  return best
}

/** Levenshtein's distance, one row at a time. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const substitution = row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(substitution, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[to.length]!
}

/** Where a number must lie. Bounds are inclusive unless they say otherwise. */
export interface NumberRange {
  readonly min?: number
  readonly above?: number
  readonly max?: number
}

/** A finite number within the range. */
export function checkNumber(name: string, value: unknown, range: NumberRange = {}): number {
  if (typeof value !== 'number') throw wrongType(name, expectation('a number', range), value)
  if (!Number.isFinite(value) || !inRange(value, range)) {
    throw outOfRange(name, expectation('a number', range), value)
  }
  return value
}

/** A safe integer within the range. */
export function checkInteger(name: string, value: unknown, range: NumberRange = {}): number {
  if (typeof value !== 'number') throw wrongType(name, expectation('an integer', range), value)
  if (!Number.isSafeInteger(value) || !inRange(value, range)) {
    throw outOfRange(name, expectation('an integer', range), value)
  }
  return value
}

function inRange(value: number, { min, above, max }: NumberRange): boolean {
  if (min !== undefined && value < min) return false
  if (above !== undefined && value <= above) return false
  return max === undefined || value <= max
}

function expectation(noun: string, { min, above, max }: NumberRange): string {
  if (min !== undefined && max !== undefined) return `${noun} from ${min} to ${max}`
  const lower = min !== undefined ? [`of at least ${min}`] : []
  const open = above !== undefined ? [`above ${above}`] : []
  const upper = max !== undefined ? [`at most ${max}`] : []
  return [noun, [...lower, ...open, ...upper].join(' and ')].filter(Boolean).join(' ')
}

export function checkBoolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw wrongType(name, 'true or false', value)
  return value
}

/** A string with at least one character. */
export function checkText(name: string, value: unknown): string {
  const text = checkString(name, value)
  if (text === '') throw outOfRange(name, 'a string that is not empty', text)
  return text
}

export function checkSignal(name: string, value: unknown): AbortSignal {
  if (!(value instanceof AbortSignal)) throw wrongType(name, 'an AbortSignal', value)
  return value
}

/** A string, which may be empty. */
export function checkString(name: string, value: unknown): string {
  if (typeof value === 'string') return value
  throw wrongType(name, 'a string', value)
}

/** One of a few strings. */
export function checkChoice<T extends string>(
  name: string,
  value: unknown,
  choices: readonly T[],
): T {
  const expected = `one of ${choices.map((choice) => `'${choice}'`).join(', ')}`
  if (typeof value !== 'string') throw wrongType(name, expected, value)
  const found = choices.find((choice) => choice === value)
  if (found === undefined) throw outOfRange(name, expected, value)
  return found
}

/** An array whose elements pass a check of their own, which is given `name[index]`. */
export function checkArray<T>(
  name: string,
  value: unknown,
  checkElement: (name: string, element: unknown) => T,
): readonly T[] {
  if (!Array.isArray(value)) throw wrongType(name, 'an array', value)
  // Array.from visits holes too, which map() would skip.
  return Array.from(value as unknown[], (element, i) => checkElement(`${name}[${i}]`, element))
}
