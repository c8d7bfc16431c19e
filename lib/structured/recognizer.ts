import type { Automaton, Counter } from './automaton.js'
import { END, Node } from './automaton-node.js'
import { NOWHERE } from './counted-machine.js'

/** Where a rule goes on that a call left, and within which other call. */
interface Frame {
  readonly id: number
  readonly next: number
  readonly parent: Frame | null
}

/** A node that reads a byte, within its calls; or the place of a counter. */
interface Thread {
  readonly node: number
  readonly frame: Frame | null
  readonly counter?: Counter
}

/** All that may come after a text, and where each byte leads; found out when it is first asked. */
export class State {
  /** By class of bytes; null: no text goes on so; undefined: not known yet. */
  readonly next: (State | null | undefined)[] = []
  /** The tokens that may follow, once they were looked up; null where that is forgotten. */
  mask: Int32Array | null = null

  constructor(
    readonly threads: readonly Thread[],
    /** Whether the text may end here. */
    readonly mayEnd: boolean,
  ) {}

  /** Whoever still uses it finds these out again. */
  forget(): void {
    this.next.length = 0
    this.mask = null
  }
}

/** States that are remembered; beyond, all are forgotten but those in use. */
export const MAX_STATES = 20_000
/** Steps of one closure: only a very ambiguous grammar needs more. */
const MAX_STEPS = 50_000
const FRAME_RADIX = 2 ** 26

/**
 * Follows texts through an automaton with calls, byte by byte and along all readings at once. The
 * states form a deterministic automaton that grows as texts go through it: what was seen once costs
 * one look-up.
 */
export class Recognizer {
  /** The class of each byte: bytes of one class lead to the same states. */
  readonly classOf: Uint8Array
  readonly start: State
  readonly #automaton: Automaton
  readonly #states = new Map<string, State>()
  readonly #frames = new Map<number, Frame>()
  #nextFrame = 1

  constructor(automaton: Automaton) {
    this.#automaton = automaton
    this.classOf = classesOf(automaton)
    this.start = this.#close([{ node: automaton.starts[automaton.root]!, frame: null }])!
  }

  /** The state after one more byte, null where no text goes on so. Throws RangeError beyond the limits. */
  step(state: State, byte: number): State | null {
    const known = state.next[this.classOf[byte]!]
    return known === undefined ? this.#learn(state, byte) : known
  }

  /** The state after a text, null where none may begin so. */
  after(text: string): State | null {
    let state: State | null = this.start
    for (const byte of Buffer.from(text)) state = state && this.step(state, byte)
    return state
  }

  #learn(state: State, byte: number): State | null {
    const reached = state.threads.flatMap((thread) => this.#read(thread, byte) ?? [])
    return (state.next[this.classOf[byte]!] = this.#close(reached))
  }

  #read({ node, frame, counter }: Thread, byte: number): Thread | null {
    const { a, b, next } = this.#automaton
    if (counter !== undefined)
      return placed(counter, counter.machine.step(node - counter.first, byte), frame)
    return a[node]! <= byte && byte <= b[node]! ? { node: next[node]!, frame } : null
  }

  /** The state of all threads that read a byte next, from these on. */
  #close(waiting: Thread[]): State | null {
    const { kinds, a, b, next, starts, counters } = this.#automaton
    const threads = new Map<number, Thread>()
    const seen = new Set<number>()
    let mayEnd = false
    for (let thread = waiting.pop(); thread !== undefined; thread = waiting.pop()) {
      const { node, frame, counter } = thread
      const key = node * FRAME_RADIX + (frame?.id ?? 0)
      if (seen.has(key)) continue
      seen.add(key)
      if (seen.size > MAX_STEPS) throw new RangeError('the grammar is too ambiguous')
      const kind = kinds[node]
      if (counter !== undefined) {
        threads.set(key, thread)
        if (counter.machine.mayEnd(node - counter.first))
          waiting.push({ node: counter.next, frame })
      } else if (kind === Node.bytes) threads.set(key, thread)
      else if (kind === Node.split) {
        waiting.push({ node: a[node]!, frame }, { node: b[node]!, frame })
      } else if (kind === Node.call) {
        waiting.push({ node: starts[a[node]!]!, frame: this.#enter(next[node]!, frame) })
      } else if (kind === Node.counted) {
        waiting.push(placed(counters[a[node]!]!, 0, frame)!)
      } else if (frame === null) mayEnd = true
      else waiting.push({ node: frame.next, frame: frame.parent })
    }
    if (threads.size === 0 && !mayEnd) return null
    return this.#intern(threads, mayEnd)
  }

  /** A call that nothing follows in its rule needs no frame, so that lists do not grow one an element. */
  #enter(next: number, parent: Frame | null): Frame | null {
    if (next === END) return parent
    const key = next * FRAME_RADIX + (parent?.id ?? 0)
    let frame = this.#frames.get(key)
    if (frame === undefined) {
      frame = { id: this.#nextFrame++, next, parent }
      this.#frames.set(key, frame)
    }
    return frame
  }

  #intern(threads: ReadonlyMap<number, Thread>, mayEnd: boolean): State {
    const key = `${mayEnd}${[...threads.keys()].sort((x, y) => x - y).join()}`
    let state = this.#states.get(key)
    if (state === undefined) {
      if (this.#states.size >= MAX_STATES) this.#forget()
      state = new State([...threads.values()], mayEnd)
      this.#states.set(key, state)
    }
    return state
  }

  /** States that lead to each other would keep each other, all of them by the start. */
  #forget(): void {
    for (const state of [this.start, ...this.#states.values()]) state.forget()
    this.#states.clear()
    this.#frames.clear()
  }
}

/** At a place of a counter; null where that is nowhere. */
function placed(counter: Counter, place: number, frame: Frame | null): Thread | null {
  return place === NOWHERE ? null : { node: counter.first + place, frame, counter }
}

function classesOf({ kinds, a, b, counters }: Automaton): Uint8Array {
  const begins = new Uint8Array(257)
  for (const { machine } of counters) for (const border of machine.borders()) begins[border] = 1
  kinds.forEach((kind, node) => {
    if (kind === Node.bytes) begins[a[node]!] = begins[b[node]! + 1] = 1
  })
  const classes = new Uint8Array(256)
  for (let byte = 1; byte < 256; byte++) classes[byte] = classes[byte - 1]! + begins[byte]!
  return classes
}
