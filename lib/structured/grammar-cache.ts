import type { OutputSpec } from './spec.js'

/** A grammar that is compiled or being compiled. */
export interface CachedGrammar {
  readonly id: number
  readonly key: string
  /** Requests that follow it. */
  users: number
  readonly ready: Promise<void>
}

/** Grammars that are kept when no request follows them any more. */
const CAPACITY = 64

/** Compiles each grammar once, and keeps those that were used last. */
export class GrammarCache {
  readonly #compile: (id: number, spec: OutputSpec) => Promise<void>
  readonly #forget: (ids: readonly number[]) => void
  /** In the order of their last use. */
  readonly #grammars = new Map<string, CachedGrammar>()
  #nextId = 0

  constructor(
    compile: (id: number, spec: OutputSpec) => Promise<void>,
    forget: (ids: readonly number[]) => void,
  ) {
    this.#compile = compile
    this.#forget = forget
  }

  /** The grammar of a description, kept until it is released. Rejects where it cannot be compiled. */
  async take(spec: OutputSpec): Promise<CachedGrammar> {
    const key = JSON.stringify(spec)
    const grammar = this.#grammars.get(key) ?? this.#create(key, spec)
    grammar.users++
    this.#touch(grammar)
    this.#evict()
    try {
      await grammar.ready
    } catch (error) {
      if (this.#grammars.get(key) === grammar) this.#grammars.delete(key)
      throw error
    }
    return grammar
  }

  release(grammar: CachedGrammar): void {
    grammar.users--
  }

  clear(): void {
    this.#grammars.clear()
  }

  #create(key: string, spec: OutputSpec): CachedGrammar {
    const id = this.#nextId++
    return { id, key, users: 0, ready: this.#compile(id, spec) }
  }

  #touch(grammar: CachedGrammar): void {
    this.#grammars.delete(grammar.key)
    this.#grammars.set(grammar.key, grammar)
  }

  #evict(): void {
    const spare = [...this.#grammars.values()].filter(({ users }) => users === 0)
    const dropped = spare.slice(0, Math.max(0, this.#grammars.size - CAPACITY))
    for (const { key } of dropped) this.#grammars.delete(key)
    if (dropped.length > 0) this.#forget(dropped.map(({ id }) => id))
  }
}
