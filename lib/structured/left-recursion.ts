import { Node, type Automaton } from './automaton.js'

/**
 * Throws RangeError when a rule may call itself before it has read a byte: following its calls would
 * never end.
 */
export function checkLeftRecursion(automaton: Automaton, names: readonly string[]): void {
  const calls = callsBeforeReading(automaton)
  const state = new Uint8Array(names.length) // 1: on the path, 2: done
  const visit = (rule: number): void => {
    if (state[rule] === 2) return
    if (state[rule] === 1) {
      throw new RangeError(`rule "${names[rule]}" begins with itself (left recursion)`)
    }
    state[rule] = 1
    for (const called of calls[rule]!) visit(called)
    state[rule] = 2
  }
  names.forEach((_, rule) => visit(rule))
}

/** The rules that each rule may call while it has read nothing, to a fixed point over empty rules. */
function callsBeforeReading(automaton: Automaton): readonly ReadonlySet<number>[] {
  const empty = new Set<number>()
  for (;;) {
    const known = empty.size
    const calls = automaton.starts.map((start, rule) => {
      const { called, ends } = explore(automaton, start, empty)
      if (ends) empty.add(rule)
      return called
    })
    if (empty.size === known) return calls
  }
}

function explore(
  { kinds, a, b, next }: Automaton,
  start: number,
  empty: ReadonlySet<number>,
): { readonly called: ReadonlySet<number>; readonly ends: boolean } {
  const called = new Set<number>()
  const seen = new Set<number>()
  const waiting = [start]
  let ends = false
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (seen.has(node)) continue
    seen.add(node)
    if (kinds[node] === Node.end) ends = true
    if (kinds[node] === Node.split) waiting.push(a[node]!, b[node]!)
    if (kinds[node] !== Node.call) continue
    called.add(a[node]!)
    if (empty.has(a[node]!)) waiting.push(next[node]!)
  }
  return { called, ends }
}
