import { minimized, type ByteMachine, type Edge } from './byte-machine.js'
import type { Expression } from './grammar.js'

/** What a number may be a multiple of, in units of its last digit. */
const LARGEST = 10_000

const [ZERO, MINUS, POINT] = [0x30, 0x2d, 0x2e]

/**
 * Texts of digits, with a sign and a point or without, that are multiples of a number: its states are
 * the remainders so far, or several that lead to the same. Throws RangeError for a number that is not
 * positive, or that has too many digits.
 */
export function multiplesOf(divisor: number): Expression {
  const { digits, places } = decimal(divisor)
  if (divisor <= 0 || digits > LARGEST) {
    throw new RangeError(
      `expected a number above 0, of at most ${LARGEST} units of its last digit, found ${divisor}`,
    )
  }
  return { kind: 'machine', machine: minimized(remainders(digits, places)) }
}

/** 0.25 is 25 at the second place. */
function decimal(value: number): { readonly digits: number; readonly places: number } {
  const text = value.toFixed(15).replace(/\.?0+$/, '')
  const places = text.split('.')[1]?.length ?? 0
  return { digits: Number(text.replace('.', '')), places }
}

function remainders(digits: number, places: number): ByteMachine {
  // State 0: nothing read; 1: a sign. Then, for each number of places read, one a remainder.
  const stateOf = (remainder: number, read: number) => 2 + read * digits + remainder
  const reading = (remainder: number, read: number): readonly Edge[] =>
    Array.from({ length: 10 }, (_, digit): Edge => [
      ZERO + digit,
      ZERO + digit,
      stateOf((remainder * 10 + digit) % digits, read),
    ])
  const isMultiple = (remainder: number, missing: number): boolean =>
    remainder === 0 || (missing > 0 && isMultiple((remainder * 10) % digits, missing - 1))
  const states: { accepts: boolean; edges: readonly Edge[] }[] = [
    { accepts: false, edges: [[MINUS, MINUS, 1], ...reading(0, 0)] },
    { accepts: false, edges: reading(0, 0) },
  ]
  // Layer 0 reads the whole part, layer 1 + i has read a point and i places.
  for (let layer = 0; layer <= places + 1; layer++) {
    const missing = layer === 0 ? places : places - (layer - 1)
    for (let remainder = 0; remainder < digits; remainder++) {
      const edges: Edge[] = []
      if (layer === 0) {
        edges.push(...reading(remainder, 0), [POINT, POINT, stateOf(remainder, 1)])
      } else if (missing > 0) {
        edges.push(...reading(remainder, layer + 1))
      } else {
        edges.push([ZERO, ZERO, stateOf(remainder, layer)])
      }
      states.push({ accepts: isMultiple(remainder, missing), edges })
    }
  }
  return { states }
}
