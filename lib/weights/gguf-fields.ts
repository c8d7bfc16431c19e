import type { Fields } from '../models/fields.js'
import { metadataOf, type GgufFile } from './gguf.js'

export type Json = Readonly<Record<string, unknown>>

/** The metadata of a file's architecture, without its prefix, and of its tokenizer. */
export class MetadataFields {
  readonly architecture: string
  readonly #fields: Fields
  readonly #tensors: ReadonlySet<string>

  constructor(file: GgufFile) {
    this.#fields = metadataOf(file)
    this.#tensors = new Set(file.tensors.map(({ name }) => name))
    this.architecture = this.#fields.word('general.architecture')
  }

  /** Columns of a head. */
  get headDim(): number {
    const heads = this.integer('attention.head_count', 1)
    const fallback = Math.max(2, Math.floor(this.integer('embedding_length', 1) / heads))
    return this.integer('attention.key_length', 2, fallback)
  }

  hasTensor(name: string): boolean {
    return this.#tensors.has(name)
  }

  has(name: string): boolean {
    return this.#fields.has(this.#key(name))
  }

  integer(name: string, min: number, fallback?: number): number {
    return this.#fields.integer(this.#key(name), { min, fallback })
  }

  number(name: string, fallback?: number): number {
    return this.#fields.number(this.#key(name), fallback)
  }

  flag(name: string, fallback: boolean): boolean {
    return this.#fields.flag(this.#key(name), fallback)
  }

  text(name: string, fallback: string): string {
    return this.#fields.text(this.#key(name), fallback)
  }

  /** `{ [to]: value }`, or nothing where the file does not say. */
  optional(to: string, name: string): Json {
    return this.has(name) ? { [to]: this.number(name) } : {}
  }

  /** `{ [name]: id }`, or nothing where the tokenizer has no such token. */
  token(name: string): Readonly<Record<string, number>> {
    const [id] = this.#fields.ids(`tokenizer.ggml.${name}`)
    return id === undefined ? {} : { [name]: id }
  }

  #key(name: string): string {
    return `${this.architecture}.${name}`
  }
}
