import { END, Node } from './automaton-node.js'
import { determinized, intersected, subtracted, type ByteMachine } from './byte-machine.js'
import { NothingMatches, choice, set, type Expression, type Grammar } from './grammar.js'
import { checkLeftRecursion } from './left-recursion.js'
import { utf8Ranges, type ByteRange } from './utf8-ranges.js'

/** Limits of one grammar, the same on every machine: what it may hold, and how much work it may be. */
export interface GrammarLimits {
  /** Nodes of the automaton, and states of its parts; a repetition up to n holds its body n times. */
  readonly nodes: number
  /** Expressions compiled, those that need no node included. */
  readonly expressions: number
}

export const GRAMMAR_LIMITS: GrammarLimits = { nodes: 200_000, expressions: 2_000_000 }

/** A set of more is a machine, which follows one way where that many would be tried. */
const FEW_RANGES = 16

const encoder = new TextEncoder()

/** Begins the bytes that stand for a special token: none of UTF-8, so that no text holds it. */
export const SPECIAL = 0xff

export function specialBytes(token: string): Uint8Array {
  return Uint8Array.of(SPECIAL, ...encoder.encode(token))
}

/**
 * A grammar as nodes over bytes, in parallel arrays:
 *   end             the rule is complete
 *   bytes a b next  one byte from a to b, then `next`
 *   split a b       go on at a or at b
 *   call a next     rule a, then `next`
 */
export class Automaton {
  readonly kinds: number[] = []
  readonly a: number[] = []
  readonly b: number[] = []
  readonly next: number[] = []
  /** The first node of each rule. */
  readonly starts: number[] = []
  readonly root: number
  readonly #limits: GrammarLimits
  #expressions = 0
  #machineStates = 0
  readonly #machines = new Map<Expression, ByteMachine>()
  readonly #ruleIndex: ReadonlyMap<string, number>

  /**
   * Throws RangeError for a rule that is not there, a rule that calls itself before it has read
   * anything, and a grammar beyond the limits.
   */
  constructor({ root, rules }: Grammar, limits = GRAMMAR_LIMITS) {
    this.#limits = limits
    this.#ruleIndex = new Map([...rules.keys()].map((name, index) => [name, index]))
    this.#node(Node.end, 0, 0, END)
    for (const body of rules.values()) this.starts.push(this.#compile(body, END))
    this.root = this.#indexOf(root)
    checkLeftRecursion(this, [...rules.keys()])
  }

  /** The first node of what matches `expression` and goes on at `next`. */
  #compile(expression: Expression, next: number): number {
    if (this.#expressions++ >= this.#limits.expressions) {
      throw new RangeError(`it is too large: more than ${this.#limits.expressions} expressions`)
    }
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
      case 'intersection':
      case 'difference':
      case 'machine':
        return this.#states(this.#machineOf(expression), next)
      default:
        return expression satisfies never
    }
  }

  #repeat(
    { body, least, most }: Extract<Expression, { readonly kind: 'repeat' }>,
    next: number,
  ): number {
    let node = next
    if (most === Infinity) {
      node = this.#node(Node.split, 0, next, END)
      this.a[node] = this.#compile(body, node)
    } else {
      for (let i = least; i < most; i++) {
        node = this.#node(Node.split, this.#compile(body, node), next, END)
      }
    }
    for (let i = 0; i < least; i++) node = this.#compile(body, node)
    return node
  }

  /** The machine of an expression without rules. */
  #machineOf(expression: Expression): ByteMachine {
    let machine = this.#machines.get(expression)
    if (machine === undefined) this.#machines.set(expression, (machine = this.#make(expression)))
    return machine
  }

  #make(expression: Expression): ByteMachine {
    switch (expression.kind) {
      case 'machine':
        return expression.machine
      case 'intersection':
        return expression.parts
          .map((part) => this.#machineOf(part))
          .reduce((one, other) => intersected(one, other, this.#spend))
      case 'difference': {
        const [of, without] = [expression.of, expression.without].map((x) => this.#machineOf(x))
        return subtracted(of!, without!, this.#spend)
      }
      default: {
        const rules = new Map([['', inFewRanges(expression)]])
        const expressions = this.#limits.expressions - this.#expressions
        const part = new Automaton({ root: '', rules }, { ...this.#limits, expressions })
        this.#expressions += part.#expressions
        this.#machineStates += part.#machineStates
        return determinized(part, part.starts[0]!, this.#spend)
      }
    }
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

  /** Counts a state of a machine. */
  readonly #spend = (): void => {
    if (this.#machineStates++ >= this.#limits.nodes) {
      throw new RangeError(`it is too large: more than ${this.#limits.nodes} states`)
    }
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

  #either<T>(options: readonly T[], compile: (option: T) => number): number {
    if (options.length === 0) throw new NothingMatches('a part of it matches nothing')
    return options
      .map(compile)
      .reduceRight((rest, option) => this.#node(Node.split, option, rest, END))
  }

  #node(kind: number, a: number, b: number, next: number): number {
    const id = this.kinds.length
    if (id >= this.#limits.nodes) {
      throw new RangeError(`it is too large: more than ${this.#limits.nodes} nodes`)
    }
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
export function isPossible(expression: Expression): boolean {
  try {
    return new Automaton({ root: '', rules: new Map([['', expression]]) }).kinds.length > 0
  } catch (error) {
    if (error instanceof NothingMatches) return false
    throw error
  }
}
