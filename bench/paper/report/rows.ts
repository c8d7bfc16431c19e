/**
 * How a row may be read: constants were fitted to it; it follows from constants that were fitted
 * elsewhere; it depends on something that the paper does not say; or it is shown without a claim.
 */
export type RowKind = 'calibration' | 'prediction' | 'guess' | 'shown'

/** One number of the paper beside ours. */
export interface Row {
  readonly name: string
  readonly unit: string
  readonly paper: number | null
  readonly ours: number
  readonly kind: RowKind
  /** The band in words, and whether our number lies in it; null for rows that are only shown. */
  readonly band: string
  readonly passed: boolean | null
}

interface RowStart {
  readonly name: string
  readonly unit?: string
  readonly paper: number
  readonly ours: number
  readonly kind: RowKind
}

/** Passes when ours lies within a share of the paper's. */
export function within(share: number, row: RowStart): Row {
  const passed = Math.abs(row.ours / row.paper - 1) <= share
  return { unit: '', ...row, band: `±${Math.round(share * 100)} %`, passed }
}

/** Passes when ours lies within so many points of the paper's. */
export function withinPoints(points: number, row: RowStart): Row {
  const passed = Math.abs(row.ours - row.paper) <= points
  return { unit: '%', ...row, band: `±${points} points`, passed }
}

/** Passes when ours lies between two numbers, one of which may be infinite. */
export function between(low: number, high: number, row: RowStart): Row {
  const band =
    high === Infinity ? `≥ ${low}` : low === -Infinity ? `≤ ${high}` : `${low} to ${high}`
  return { unit: '', ...row, band, passed: row.ours >= low && row.ours <= high }
}

/** Shown only. */
export function shown(row: Omit<RowStart, 'paper' | 'kind'> & { paper: number | null }): Row {
  return { unit: '', ...row, kind: 'shown', band: '', passed: null }
}
