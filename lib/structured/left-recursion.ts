import type { Automaton } from './automaton.js'
import { Node } from './automaton-node.js'

/**
 * Throws RangeError when a rule may call itself before it has read a byte: following its calls would
 * never end.
 */
export function checkLeftRecursion(automaton: Automaton, names: readonly string[]): void {
  new FirstCalls(automaton, names).check()
}

/** Follows the calls that rules make before they have read a byte. */
class FirstCalls {
  readonly #automaton: Automaton
  readonly #names: readonly string[]
  /** Of a rule that was left, whether it may end without having read; null: on the way to here. */
  readonly #mayBeEmpty = new Map<number, boolean | null>()

  constructor(automaton: Automaton, names: readonly string[]) {
    this.#automaton = automaton
    this.#names = names
  }

  check(): void {
    this.#automaton.starts.forEach((_, rule) => this.#visit(rule))
  }

  #visit(rule: number): boolean {
    const known = this.#mayBeEmpty.get(rule)
    if (known === null) {
      throw new RangeError(`rule "${this.#names[rule]}" begins with itself (left recursion)`)
    }
    if (known !== undefined) return known
    this.#mayBeEmpty.set(rule, null)
    const empty = this.#follow(this.#automaton.starts[rule]!)
    this.#mayBeEmpty.set(rule, empty)
    return empty
  }

  /** Whether the end can be reached from a node without reading. */
  #follow(start: number): boolean {
    const { kinds, a, b, next, counters } = this.#automaton
    const seen = new Set<number>()
    const waiting = [start]
    let ends = false
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (seen.has(node)) continue
      seen.add(node)
      if (kinds[node] === Node.end) ends = true
      else if (kinds[node] === Node.split) waiting.push(a[node]!, b[node]!)
      else if (kinds[node] === Node.call && this.#visit(a[node]!)) waiting.push(next[node]!)
      else if (kinds[node] === Node.counted && counters[a[node]!]!.machine.mayEnd(0))
        waiting.push(next[node]!)
    }
    return ends
  }
}
