/** Request rate in req/s and mean normalized latency in s/token. */
export type CurvePoint = readonly [rate: number, latency: number]

/** A system's latency by rate, and the rate that it sustains at the threshold. */
export interface Curve {
  /** In rising order of rates. */
  readonly points: readonly CurvePoint[]
  readonly knee: number
}

/** The latency at which systems are compared, in s/token. */
export const KNEE_LATENCY = 0.5

/** Latencies from here on are not told apart: replays end there. */
export const HIGHEST_LATENCY = 1.05

/** Relative precision of a knee. */
const PRECISION = 0.005
const STEP_UP = 1.1
const STEP_DOWN = 0.8

/** The points of a curve that is given as rate, latency, rate, latency … */
export function toPoints(flat: readonly number[]): CurvePoint[] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i]!, flat[2 * i + 1]!])
}

/** The rate at which the line through the points first crosses a latency; NaN where it does not. */
export function crossing(points: readonly CurvePoint[], latency: number): number {
  for (let i = 1; i < points.length; i++) {
    const [x0, y0] = points[i - 1]!
    const [x1, y1] = points[i]!
    if (y0 <= latency && y1 > latency) return x0 + ((latency - y0) / (y1 - y0)) * (x1 - x0)
  }
  return NaN
}

/** Replays at the given rates up to the knee and beyond it, then closes in on the knee. */
export function findCurve(rates: readonly number[], latencyAt: (rate: number) => number): Curve {
  const points: CurvePoint[] = []
  const measure = (rate: number) => {
    const latency = latencyAt(rate)
    points.push([rate, latency])
    points.sort(([a], [b]) => a - b)
    return latency
  }
  for (const rate of rates) if (measure(rate) >= HIGHEST_LATENCY) break
  while (points[0]![1] > KNEE_LATENCY) measure(points[0]![0] * STEP_DOWN)
  while (points.at(-1)![1] < HIGHEST_LATENCY) measure(points.at(-1)![0] * STEP_UP)
  for (let knee = 0; ;) {
    const next = crossing(points, KNEE_LATENCY)
    if (Math.abs(next - knee) <= PRECISION * next) return { points, knee: next }
    measure((knee = next))
  }
}
