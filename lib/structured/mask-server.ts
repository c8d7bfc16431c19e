import { compileGrammar } from './compile.js'
import type { MaskMemory } from './mask-memory.js'
import { Matcher } from './matcher.js'
import type { Recognizer } from './recognizer.js'
import type { OutputSpec } from './spec.js'
import { TokenTrie, type TokenBytes } from './token-trie.js'

/**
 * Numbers of one order: row of the mask, matcher, its grammar, tokens to take back, new tokens; the new
 * tokens follow.
 */
const ORDER_INTS = 5

/** What the thread is asked for. */
export type MaskRequest =
  | { readonly kind: 'compile'; readonly grammar: number; readonly spec: OutputSpec }
  | { readonly kind: 'masks'; readonly ticket: number; readonly orders: Int32Array }
  | {
      readonly kind: 'forget'
      readonly matchers: readonly number[]
      readonly grammars: readonly number[]
    }

/** A grammar was compiled, or why not. */
export interface CompileReply {
  readonly grammar: number
  readonly error: Error | null
}

/** Grammars and matchers by number: compiles, follows tokens, and writes masks. */
export class MaskServer {
  readonly #trie: TokenTrie
  readonly #memory: MaskMemory
  readonly #grammars = new Map<number, Recognizer>()
  readonly #matchers = new Map<number, Matcher>()

  constructor(tokens: TokenBytes, memory: MaskMemory) {
    this.#trie = new TokenTrie(tokens)
    this.#memory = memory
  }

  /** Answers a compilation; everything else has its effect in memory. */
  handle(request: MaskRequest): CompileReply | null {
    switch (request.kind) {
      case 'compile':
        return this.#compile(request.grammar, request.spec)
      case 'masks':
        this.#serve(request.ticket, request.orders)
        return null
      case 'forget':
        for (const matcher of request.matchers) this.#matchers.delete(matcher)
        for (const grammar of request.grammars) this.#grammars.delete(grammar)
        return null
      default:
        return request satisfies never
    }
  }

  #compile(grammar: number, spec: OutputSpec): CompileReply {
    try {
      const recognizer = compileGrammar(spec)
      this.#trie.mask(recognizer, recognizer.start)
      this.#grammars.set(grammar, recognizer)
      return { grammar, error: null }
    } catch (error) {
      return { grammar, error: error instanceof Error ? error : new Error(String(error)) }
    }
  }

  /** The rows come in the order in which the step draws them. */
  #serve(ticket: number, orders: Int32Array): void {
    for (let at = 0; at < orders.length;) {
      const [row, matcher, grammar, back, count] = orders.subarray(at, at + ORDER_INTS)
      at += ORDER_INTS
      const tokens = orders.subarray(at, (at += count!))
      this.#memory.publish(row!, ticket, this.#next(matcher!, grammar!, back!, tokens))
    }
  }

  /** The mask after further tokens; null, which ends the request, where the grammar is beyond its limits. */
  #next(id: number, grammar: number, back: number, tokens: Int32Array): Int32Array | null {
    try {
      const matcher = this.#matcherOf(id, grammar)
      if (back > 0) matcher.rollback(back)
      for (const token of tokens) matcher.accept(token)
      return matcher.mask()
    } catch {
      return null
    }
  }

  #matcherOf(id: number, grammar: number): Matcher {
    let matcher = this.#matchers.get(id)
    if (matcher === undefined) {
      matcher = new Matcher(this.#grammars.get(grammar)!, this.#trie)
      this.#matchers.set(id, matcher)
    }
    return matcher
  }
}
