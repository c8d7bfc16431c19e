import { expect } from 'vitest'
import { noteExpected } from './record-cases.js'

/** Expects rows of numbers, each within a tolerance that may depend on where it stands. */
export function expectClose(
  found: Float32Array,
  wanted: readonly Float64Array[],
  tolerance: (value: number, row: number, column: number) => number,
): void {
  noteExpected(found, wanted, tolerance)
  const cols = wanted[0]!.length
  expect(found.length).toBe(wanted.length * cols)
  wanted.forEach((row, r) =>
    row.forEach((value, c) => {
      const error = Math.abs(found[r * cols + c]! - value)
      if (!(error <= tolerance(value, r, c)))
        expect.fail(`row ${r}, column ${c}: found ${found[r * cols + c]}, expected ${value}`)
    }),
  )
}
