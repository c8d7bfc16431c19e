import { END, FIRST_PLACE, Node } from './automaton-node.js'
import { determinized, intersected, subtracted, type ByteMachine } from './byte-machine.js'
import { CountedMachine, placesOf } from './counted-machine.js'
import { NothingMatches, alone, choice, set } from './grammar.js'
import {
  whereSomeMatch,
  type Counted,
  type Expression,
  type Grammar,
  type Repeat,
} from './grammar.js'
import { checkLeftRecursion } from './left-recursion.js'
import { utf8Ranges, type ByteRange } from './utf8-ranges.js'
import { Work } from './work.js'

/** A set of more is a machine, which follows one way where that many would be tried. */
const FEW_RANGES = 16

const encoder = new TextEncoder()

/** Begins the bytes that stand for a special token: none of UTF-8, so that no text holds it. */
export const SPECIAL = 0xff

export function specialBytes(token: string): Uint8Array {
  return Uint8Array.of(SPECIAL, ...encoder.encode(token))
}

/** A counted string of an automaton: its places are numbered from `first` on, beyond the nodes. */
export interface Counter {
  readonly machine: CountedMachine
  readonly first: number
  readonly next: number
}

/**
 * A grammar as nodes over bytes, in parallel arrays:
 *   end             the rule is complete
 *   bytes a b next  one byte from a to b, then `next`
 *   split a b       go on at a or at b
 *   call a next     rule a, then `next`
 *   counted a next  counter a, then `next`
 */
export class Automaton {
  readonly kinds: number[] = []
  readonly a: number[] = []
  readonly b: number[] = []
  readonly next: number[] = []
  /** The first node of each rule. */
  readonly starts: number[] = []
  readonly counters: Counter[] = []
  readonly root: number
  readonly #work: Work
  /** Of the counters so far. */
  #places = 0
  readonly #ruleIndex: ReadonlyMap<string, number>

  /**
   * Throws RangeError for a rule that is not there, a rule that calls itself before it has read
   * anything, and a grammar beyond the limits.
   */
  constructor({ root, rules }: Grammar, work = new Work()) {
    this.#work = work
    this.#ruleIndex = new Map([...rules.keys()].map((name, index) => [name, index]))
    this.#node(Node.end, 0, 0, END)
    for (const body of rules.values()) this.starts.push(this.#compile(body, END))
    this.root = this.#indexOf(root)
    checkLeftRecursion(this, [...rules.keys()])
  }

  /** The first node of what matches `expression` and goes on at `next`. */
  #compile(expression: Expression, next: number): number {
    this.#work.spend('expressions')
    switch (expression.kind) {
      case 'text':
        return this.#text(encoder.encode(expression.text), next)
      case 'token':
        return this.#text(specialBytes(expression.text), next)
      case 'set':
        if (expression.ranges.length > FEW_RANGES) {
          return this.#states(this.#machineOf(expression), next)
        }
        return this.#either(
          expression.ranges.flatMap((range) => utf8Ranges(range)),
          (bytes) => this.#bytes(bytes, next),
        )
      case 'sequence':
        return expression.parts.reduceRight((rest, part) => this.#compile(part, rest), next)
      case 'choice':
        return this.#either(expression.options, (option) => this.#compile(option, next))
      case 'repeat':
        return this.#repeat(expression, next)
      case 'rule':
        return this.#node(Node.call, this.#indexOf(expression.name), 0, next)
      case 'counted':
        return this.#counted(expression, next)
      case 'intersection':
      case 'difference':
      case 'machine':
        return this.#states(this.#machineOf(expression), next)
      default:
        return expression satisfies never
    }
  }

  #counted(expression: Counted, next: number): number {
    const { counted } = this.#work
    let machine = counted.get(expression)
    if (machine === undefined) counted.set(expression, (machine = this.#count(expression)))
    this.#work.check('places', this.#places + machine.places)
    this.counters.push({ machine, first: FIRST_PLACE + this.#places, next })
    this.#places += machine.places
    return this.#node(Node.counted, this.counters.length - 1, 0, next)
  }

  #count({ of, units, least, most }: Counted): CountedMachine {
    const all = this.#machineOf(units)
    const texts = intersected(this.#machineOf(of), all, () => this.#work.spend('states'))
    this.#work.check('places', placesOf(texts, least, most))
    return new CountedMachine(texts, all, least, most)
  }

  #repeat({ body, least, most }: Repeat, next: number): number {
    let node = most === Infinity ? this.#any(body, next) : next
    for (let i = least; most !== Infinity && i < most; i++) {
      const after = node
      const once = whereSomeMatch(() => this.#compile(body, after))
      if (once === null) break
      node = this.#node(Node.split, once, next, END)
    }
    for (let i = 0; i < least; i++) node = this.#compile(body, node)
    return node
  }

  /** Any number of times. */
  #any(body: Expression, next: number): number {
    const node = this.#node(Node.split, next, next, END)
    this.a[node] = whereSomeMatch(() => this.#compile(body, node)) ?? next
    return node
  }

  /** The machine of an expression without rules. */
  #machineOf(expression: Expression): ByteMachine {
    const { machines } = this.#work
    let machine = machines.get(expression)
    if (machine === undefined) {
      machine = whereSomeMatch(() => this.#make(expression))
      machines.set(expression, machine)
    }
    if (machine === null) throw new NothingMatches('a part of it matches nothing')
    return machine
  }

  #make(expression: Expression): ByteMachine {
    const spend = () => this.#work.spend('states')
    switch (expression.kind) {
      case 'machine':
        return expression.machine
      case 'intersection':
        return expression.parts
          .map((part) => this.#machineOf(part))
          .reduce((one, other) => intersected(one, other, spend))
      case 'difference':
        return this.#subtract(expression, spend)
      default: {
        const part = new Automaton(alone(inFewRanges(expression)), this.#work)
        return determinized(part, part.starts[0]!, spend)
      }
    }
  }

  #subtract(
    { of, without }: Extract<Expression, { readonly kind: 'difference' }>,
    spend: () => void,
  ): ByteMachine {
    const all = this.#machineOf(of)
    const cut = whereSomeMatch(() => this.#machineOf(without))
    return cut === null ? all : subtracted(all, cut, spend)
  }

  /** The first of the nodes of a machine, at whose ends it goes on at `next`. */
  #states({ states }: ByteMachine, next: number): number {
    const nodes = states.map(() => this.#node(Node.split, END, END, END))
    for (const [i, { accepts, edges }] of states.entries()) {
      const reads = edges.map(([first, last, to]) =>
        this.#node(Node.bytes, first, last, nodes[to]!),
      )
      const ways = accepts ? [next, ...reads] : reads
      this.a[nodes[i]!] = this.b[nodes[i]!] = this.#either(ways, (way) => way)
    }
    return nodes[0]!
  }

  #text(bytes: Uint8Array, next: number): number {
    return this.#bytes(
      Array.from(bytes, (byte) => [byte, byte]),
      next,
    )
  }

  #bytes(ranges: readonly ByteRange[], next: number): number {
    return ranges.reduceRight(
      (rest, [first, last]) => this.#node(Node.bytes, first, last, rest),
      next,
    )
  }

  /** One way of those that match something. Throws NothingMatches where none does. */
  #either<T>(options: readonly T[], compile: (option: T) => number): number {
    const ways = options.flatMap((option) => whereSomeMatch(() => compile(option)) ?? [])
    if (ways.length === 0) throw new NothingMatches('a part of it matches nothing')
    return ways.reduceRight((rest, option) => this.#node(Node.split, option, rest, END))
  }

  #node(kind: number, a: number, b: number, next: number): number {
    const id = this.kinds.length
    this.#work.check('nodes', id + 1)
    this.kinds.push(kind)
    this.a.push(a)
    this.b.push(b)
    this.next.push(next)
    return id
  }

  #indexOf(name: string): number {
    const index = this.#ruleIndex.get(name)
    if (index === undefined) throw new RangeError(`there is no rule "${name}"`)
    return index
  }
}

/** A set of many characters as a choice of smaller sets. */
function inFewRanges(expression: Expression): Expression {
  if (expression.kind !== 'set') return expression
  const { ranges } = expression
  const parts = Array.from({ length: Math.ceil(ranges.length / FEW_RANGES) }, (_, i) =>
    set(ranges.slice(i * FEW_RANGES, (i + 1) * FEW_RANGES)),
  )
  return choice(...parts)
}

/** Whether any text matches an expression without rules. */
export function isPossible(expression: Expression, work: Work): boolean {
  return whereSomeMatch(() => new Automaton(alone(expression), work)) !== null
}
