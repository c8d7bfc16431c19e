import type { ByteMachine } from './byte-machine.js'
import type { CountedMachine } from './counted-machine.js'
import type { Expression } from './grammar.js'

/** Limits of one grammar, the same on every machine: what it may hold, and how much work it may be. */
interface Limits {
  /** Of the automaton; a repetition up to n holds its body n times. */
  readonly nodes: number
  /** Of the machines of its parts. */
  readonly states: number
  /** Of counted strings: a state a length. */
  readonly places: number
  /** Compiled, those that need no node included. */
  readonly expressions: number
  /** Read, each as often as others name it or must match at once with it. */
  readonly schemas: number
}

const LIMITS: Limits = {
  nodes: 200_000,
  states: 200_000,
  places: 60_000_000,
  expressions: 2_000_000,
  schemas: 50_000,
}

/** What compiling one grammar took so far, in all the automata that it needs. */
export class Work {
  /** Of strings with a length, each of which is made once. */
  readonly counted = new WeakMap<Expression, CountedMachine>()
  /** Of expressions without rules, each of which is made once; null: no text matches. */
  readonly machines = new WeakMap<Expression, ByteMachine | null>()
  readonly #spent = { states: 0, expressions: 0, schemas: 0 }

  /** Throws RangeError where that is beyond the limit. */
  spend(kind: 'states' | 'expressions' | 'schemas'): void {
    this.check(kind, ++this.#spent[kind])
  }

  /** Throws RangeError where so many are beyond the limit. */
  check(kind: keyof Limits, count: number): void {
    const most = LIMITS[kind]
    if (count > most) throw new RangeError(`it is too large: more than ${most} ${kind}`)
  }
}
