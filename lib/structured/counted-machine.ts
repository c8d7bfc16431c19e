import { NothingMatches } from './grammar.js'
import type { ByteMachine } from './byte-machine.js'

/** Of a counted machine: no text goes on so. */
export const NOWHERE = -1

/**
 * The texts of a machine that are so many units one after the other, such as characters of a string. A
 * place is a state and the units so far. Only those from which a text can end are ever reached; which
 * these are is found once, so that no state has to be made for each.
 */
export class CountedMachine {
  /** Places are below it; a text begins at 0. */
  readonly places: number
  readonly #machine: ByteMachine
  readonly #least: number
  readonly #most: number
  /** Counts are at most this; without an upper bound those beyond the lower one are as good as it. */
  readonly #last: number
  /** Whether a unit ends in a state. */
  readonly #whole: readonly boolean[]
  /** By count, for each state whether a text can end from there; counts of the same share one. */
  readonly #live: Uint8Array[]

  /**
   * @param machine whose texts are all units
   * @param units the machine of any number of units
   */
  constructor(machine: ByteMachine, units: ByteMachine, least: number, most: number) {
    this.#machine = machine
    this.#least = least
    this.#most = most
    this.#last = most === Infinity ? least : most
    this.#whole = wholeUnits(machine, units)
    this.places = placesOf(machine, least, most)
    this.#live = new Array<Uint8Array>(this.#last + 1)
    for (let count = this.#last; count >= 0; count--) this.#live[count] = this.#liveWith(count)
    if (this.#live[0]![0] === 0) throw new NothingMatches('a part of it matches nothing')
  }

  /** The place after one more byte. */
  step(place: number, byte: number): number {
    const { states } = this.#machine
    const state = place % states.length
    const edge = states[state]!.edges.find(([first, last]) => first <= byte && byte <= last)
    if (edge === undefined) return NOWHERE
    const count = this.#entered(edge[2], (place - state) / states.length)
    if (this.#live[count]?.[edge[2]] !== 1) return NOWHERE
    return count * states.length + edge[2]
  }

  mayEnd(place: number): boolean {
    const { states } = this.#machine
    return states[place % states.length]!.accepts && place >= this.#least * states.length
  }

  /** Where the bytes that edges are of begin, and those behind them. */
  *borders(): Iterable<number> {
    for (const { edges } of this.#machine.states) {
      for (const [first, last] of edges) yield* [first, last + 1]
    }
  }

  /** The units so far where a state is entered with so many; more than there may be: beyond all counts. */
  #entered(state: number, count: number): number {
    const units = this.#whole[state]! ? count + 1 : count
    return this.#most === Infinity ? Math.min(units, this.#last) : units
  }

  /** Of higher counts it is known; within one, what leads to a live state is live. */
  #liveWith(count: number): Uint8Array {
    const { states } = this.#machine
    const [one, two] = [this.#live[count + 1], this.#live[count + 2]]
    const isEnough = count >= this.#least
    // Where two counts are alike, those below are too, until there are too few units.
    if (one !== undefined && one === two && isEnough === count + 1 >= this.#least) return one
    const live = Uint8Array.from(states, ({ accepts }) => Number(accepts && isEnough))
    this.#live[count] = live
    for (let found = true; found;) {
      found = false
      for (let state = states.length - 1; state >= 0; state--) {
        if (live[state] === 1 || !this.#leadsOn(state, count)) continue
        live[state] = 1
        found = true
      }
    }
    return one?.every((value, state) => value === live[state]) === true ? one : live
  }

  #leadsOn(state: number, count: number): boolean {
    const { edges } = this.#machine.states[state]!
    return edges.some(([, , to]) => this.#live[this.#entered(to, count)]?.[to] === 1)
  }
}

/** How many places a counted machine has. */
export function placesOf({ states }: ByteMachine, least: number, most: number): number {
  return states.length * ((most === Infinity ? least : most) + 1)
}

function wholeUnits({ states }: ByteMachine, units: ByteMachine): readonly boolean[] {
  const within = new Map([[0, 0]])
  for (const [state, unit] of within) {
    for (const [first, , to] of states[state]!.edges) {
      const edge = units.states[unit]!.edges.find(([from, end]) => from <= first && first <= end)
      within.set(to, edge![2])
    }
  }
  return states.map((_, state) => units.states[within.get(state)!]!.accepts)
}
