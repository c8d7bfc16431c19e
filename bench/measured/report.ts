import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Prints rows of cells, each column as wide as its widest. */
export function printTable(title: string, rows: readonly (readonly string[])[]): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  console.log(`\n${title}`)
  for (const row of rows) {
    console.log(
      `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[i]!))).join('  ')}`,
    )
  }
}

/** Writes what was measured beside the bundles, out of git. */
export function writeJson(name: string, value: unknown): void {
  const file = join(dirname(fileURLToPath(import.meta.url)), `${name}.json`)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`)
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}

/** The time that a tenth of all stays below. */
export function fastestTenth(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 10)]!
}
