import { Node } from './automaton-node.js'
import { NothingMatches } from './grammar.js'

/** Bytes from the first to the last, and the state that they lead to. */
export type Edge<T = number> = readonly [first: number, last: number, to: T]

/** A deterministic automaton over bytes; state 0 is the first, and from every state a text can end. */
export interface ByteMachine {
  readonly states: readonly MachineState[]
}

interface MachineState<T = number> {
  readonly accepts: boolean
  /** Of bytes that do not overlap. */
  readonly edges: readonly Edge<T>[]
}

/** The nodes of an automaton without calls. */
export interface Nodes {
  readonly kinds: readonly number[]
  readonly a: readonly number[]
  readonly b: readonly number[]
  readonly next: readonly number[]
}

/** Called once a state that is made; throws beyond a limit. */
export type Spend = () => void

/** The machine of what a node leads to. */
export function determinized(nodes: Nodes, start: number, spend: Spend): ByteMachine {
  return trimmed(
    explored(
      closed(nodes, [start]),
      (places) => places.join(),
      (places) => stateAt(nodes, places),
      spend,
    ),
  )
}

/** The machine of the texts of both. */
export function intersected(one: ByteMachine, other: ByteMachine, spend: Spend): ByteMachine {
  return product(one, other, spend, (a, b) => a && b)
}

/** The machine of the texts of one that are none of the other's. */
export function subtracted(one: ByteMachine, other: ByteMachine, spend: Spend): ByteMachine {
  return product(one, other, spend, (a, b) => a && !b)
}

/** Beyond the texts of a machine. */
const NOWHERE = -1

function product(
  one: ByteMachine,
  other: ByteMachine,
  spend: Spend,
  accepts: (a: boolean, b: boolean) => boolean,
): ByteMachine {
  const beyond = accepts(true, false)
  return trimmed(
    explored<readonly [number, number]>(
      [0, 0],
      (pair) => pair.join(),
      ([a, b]) => {
        const [left, right] = [one.states[a]!, other.states[b]]
        const edges = left.edges.flatMap(([first, last, to]) =>
          overlaid(first, last, right?.edges ?? [])
            .filter(([, , beside]) => beyond || beside !== NOWHERE)
            .map(([from, end, beside]): Edge<readonly [number, number]> => [
              from,
              end,
              [to, beside],
            ]),
        )
        return { accepts: accepts(left.accepts, right?.accepts ?? false), edges }
      },
      spend,
    ),
  )
}

/** Bytes cut where edges begin and end, each with where it leads along them. */
function overlaid(first: number, last: number, edges: readonly Edge[]): readonly Edge[] {
  const parts: Edge[] = []
  let from = first
  for (const [begin, end, to] of [...edges].sort((a, b) => a[0] - b[0])) {
    if (end < from || begin > last) continue
    if (begin > from) parts.push([from, begin - 1, NOWHERE])
    parts.push([Math.max(from, begin), Math.min(last, end), to])
    from = end + 1
  }
  if (from <= last) parts.push([from, last, NOWHERE])
  return parts
}

/** The machine of all places that can be reached, numbered as they are met. */
function explored<T>(
  first: T,
  keyOf: (place: T) => string,
  stateOf: (place: T) => MachineState<T>,
  spend: Spend,
): ByteMachine {
  const numbers = new Map<string, number>()
  const places: T[] = []
  const numberOf = (place: T) => {
    const key = keyOf(place)
    let number = numbers.get(key)
    if (number === undefined) {
      spend()
      numbers.set(key, (number = places.push(place) - 1))
    }
    return number
  }
  numberOf(first)
  const states: MachineState[] = []
  for (const place of places) {
    const { accepts, edges } = stateOf(place)
    states.push({ accepts, edges: edges.map(([a, b, to]): Edge => [a, b, numberOf(to)]) })
  }
  return { states }
}

/** The nodes that read or end, reached from these without reading. */
function closed({ kinds, a, b }: Nodes, from: readonly number[]): readonly number[] {
  const seen = new Set<number>()
  const waiting = [...from]
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (seen.has(node)) continue
    seen.add(node)
    if (kinds[node] === Node.split) waiting.push(a[node]!, b[node]!)
    else if (kinds[node] === Node.call || kinds[node] === Node.counted)
      throw new RangeError(
        'a part that may nest, or that is counted, cannot be one of several at once',
      )
  }
  return [...seen].filter((node) => kinds[node] !== Node.split).sort((x, y) => x - y)
}

function stateAt(nodes: Nodes, places: readonly number[]): MachineState<readonly number[]> {
  const { kinds, a, b, next } = nodes
  const readers = places.filter((node) => kinds[node] === Node.bytes)
  const borders = new Set(readers.flatMap((node) => [a[node]!, b[node]! + 1]))
  const cuts = [...borders].sort((x, y) => x - y)
  const edges: Edge<readonly number[]>[] = []
  for (const [i, first] of cuts.slice(0, -1).entries()) {
    const reached = readers.filter((node) => a[node]! <= first && first <= b[node]!)
    if (reached.length === 0) continue
    edges.push([
      first,
      cuts[i + 1]! - 1,
      closed(
        nodes,
        reached.map((node) => next[node]!),
      ),
    ])
  }
  return { accepts: places.some((node) => kinds[node] === Node.end), edges }
}

/** Without the states from which no text can end. Throws RangeError where none is left. */
function trimmed({ states }: ByteMachine): ByteMachine {
  const before = states.map((): number[] => [])
  states.forEach(({ edges }, i) => edges.forEach(([, , to]) => before[to]!.push(i)))
  const alive = new Set<number>()
  const waiting = states.flatMap(({ accepts }, i) => (accepts ? [i] : []))
  for (let state = waiting.pop(); state !== undefined; state = waiting.pop()) {
    if (alive.has(state)) continue
    alive.add(state)
    waiting.push(...before[state]!)
  }
  if (!alive.has(0)) throw new NothingMatches('a part of it matches nothing')
  const kept = [...states.keys()].filter((state) => alive.has(state))
  const numbers = new Map(kept.map((state, number) => [state, number]))
  return {
    states: kept.map((state) => ({
      accepts: states[state]!.accepts,
      edges: states[state]!.edges.filter(([, , to]) => alive.has(to)).map(
        ([first, last, to]): Edge => [first, last, numbers.get(to)!],
      ),
    })),
  }
}

/** The smallest machine of the same texts: states from which the same texts lead to an end are one. */
export function minimized({ states }: ByteMachine): ByteMachine {
  let classes = states.map(({ accepts }) => Number(accepts))
  for (let count = 0; ;) {
    const numbers = new Map<string, number>()
    const next = states.map(({ accepts, edges }) => {
      const key = `${accepts}${edges.map(([first, last, to]) => [first, last, classes[to]!]).join()}`
      let number = numbers.get(key)
      if (number === undefined) numbers.set(key, (number = numbers.size))
      return number
    })
    classes = next
    if (numbers.size === count) break
    count = numbers.size
  }
  const first = [...new Set(classes)].map((number) => states[classes.indexOf(number)]!)
  return {
    states: first.map(({ accepts, edges }) => ({
      accepts,
      edges: edges.map(([a, b, to]): Edge => [a, b, classes[to]!]),
    })),
  }
}
