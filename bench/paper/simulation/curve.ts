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

/** Relative width of the interval in which a knee is known. */
const PRECISION = 0.01
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

/** Replays at the given rates up to the knee and beyond it, then narrows the knee down by bisection. */
export function findCurve(rates: readonly number[], latencyAt: (rate: number) => number): Curve {
  const points: [rate: number, latency: number][] = []
  const measure = (rate: number) => {
    const latency = latencyAt(rate)
    points.push([rate, latency])
    return latency
  }
  let low = 0
  let high = Infinity
  for (const rate of rates) {
    if (measure(rate) <= KNEE_LATENCY) low = rate
    else high = Math.min(high, rate)
    if (points.at(-1)![1] >= HIGHEST_LATENCY) break
  }
  for (let rate = low * STEP_UP; high === Infinity; rate *= STEP_UP) {
    if (measure(rate) <= KNEE_LATENCY) low = rate
    else high = rate
  }
  for (let rate = high * STEP_DOWN; low === 0; rate *= STEP_DOWN) {
    if (measure(rate) <= KNEE_LATENCY) low = rate
    else high = rate
  }
  while (high - low > PRECISION * high) {
    const middle = (low + high) / 2
    if (measure(middle) <= KNEE_LATENCY) low = middle
    else high = middle
  }
  points.sort(([a], [b]) => a - b)
  return { points, knee: (low + high) / 2 }
}
