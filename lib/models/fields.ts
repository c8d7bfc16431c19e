import { describe } from '../check.js'
import { EngineError } from '../errors.js'
import type { FieldNames } from './family.js'

/**
 * The fields of a JSON object that came from a file. Each reader gives the value in its type, the
 * fallback where the field is absent or null, or an EngineError `invalid_file` that names the file
 * and the field, what was expected and what was found.
 */
export class Fields {
  readonly #json: Readonly<Record<string, unknown>>
  readonly #names: FieldNames

  constructor(
    json: unknown,
    /** The file, and the path of the object in it, as errors show it. */
    readonly where: string,
    names: FieldNames = {},
  ) {
    if (!isObject(json)) throw invalid(`${where}: expected an object, found ${describe(json)}`)
    this.#json = json
    this.#names = names
  }

  /** True where the field is there and not null. */
  has(name: string): boolean {
    const value = this.#valueOf(name)
    return value !== undefined && value !== null
  }

  /** An integer of at least `min`, and at most `max` if there is one. */
  integer(
    name: string,
    { min, max, fallback }: { min: number; max?: number; fallback?: number },
  ): number {
    const fits = (value: unknown): value is number =>
      Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= (max ?? Infinity)
    const range = max === undefined ? `of at least ${min}` : `from ${min} to ${max}`
    return this.#read(name, `an integer ${range}`, fits, fallback)
  }

  /** A finite number above zero. */
  positive(name: string, fallback?: number): number {
    const fits = (value: unknown): value is number => Number.isFinite(value) && Number(value) > 0
    return this.#read(name, 'a number above 0', fits, fallback)
  }

  /** A finite number. */
  number(name: string, fallback?: number): number {
    const fits = (value: unknown): value is number => Number.isFinite(value)
    return this.#read(name, 'a number', fits, fallback)
  }

  flag(name: string, fallback?: boolean): boolean {
    const fits = (value: unknown): value is boolean => typeof value === 'boolean'
    return this.#read(name, 'true or false', fits, fallback)
  }

  text(name: string, fallback?: string): string {
    const fits = (value: unknown): value is string => typeof value === 'string'
    return this.#read(name, 'a string', fits, fallback)
  }

  /** A string without spaces. */
  word(name: string): string {
    const fits = (value: unknown): value is string =>
      typeof value === 'string' && /^\S+$/.test(value)
    return this.#read(name, 'a word', fits)
  }

  /** One id or a list of ids; absent gives an empty list. */
  ids(name: string): readonly number[] {
    const isId = (value: unknown): value is number =>
      Number.isSafeInteger(value) && Number(value) >= 0
    const fits = (value: unknown): value is number | number[] =>
      isId(value) || (Array.isArray(value) && value.every(isId))
    const value = this.#read(name, 'a token id or a list of them', fits, [])
    return Array.isArray(value) ? value : [value]
  }

  /** A list of finite numbers; absent gives an empty list. */
  numbers(name: string): readonly number[] {
    const fits = (value: unknown): value is number[] =>
      Array.isArray(value) && value.every((item) => Number.isFinite(item))
    return this.#read(name, 'a list of numbers', fits, [])
  }

  strings(name: string): readonly string[] {
    const fits = (value: unknown): value is string[] =>
      Array.isArray(value) && value.every((item) => typeof item === 'string')
    return this.#read(name, 'a list of strings', fits, [])
  }

  /** The names of all fields that are there. */
  names(): readonly string[] {
    return Object.keys(this.#json).filter((name) => this.has(name))
  }

  object(name: string): Fields {
    return new Fields(this.#valueOf(name), `${this.where}: ${this.#nameOf(name)}`)
  }

  /** What the file calls a field. */
  #nameOf(name: string): string {
    const names = [this.#names.names?.[name] ?? name].flat()
    return names.find((other) => this.#json[other] !== undefined) ?? names[0] ?? name
  }

  #valueOf(name: string): unknown {
    const { names, defaults } = this.#names
    const found = names?.[name] === null ? undefined : this.#json[this.#nameOf(name)]
    return found === undefined ? defaults?.[name] : found
  }

  #read<T>(name: string, expected: string, fits: (value: unknown) => value is T, fallback?: T): T {
    const value = this.#valueOf(name)
    if (fits(value)) return value
    const where = `${this.where}: ${this.#nameOf(name)}`
    if (this.has(name)) throw invalid(`${where} must be ${expected}, found ${describe(value)}`)
    if (fallback === undefined) throw invalid(`${where} is missing, expected ${expected}`)
    return fallback
  }
}

/** True for a JSON object, not for a list or null. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function invalid(message: string): EngineError {
  return new EngineError('invalid_file', message)
}
