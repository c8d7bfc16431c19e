/** Seconds to a request's first token. */
export const FIRST_TOKEN = [
  ...[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1],
  ...[2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560],
]

/** Seconds between tokens. */
export const NEXT_TOKEN = [
  ...[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1],
  ...[2.5, 5, 7.5, 10, 20, 40, 80],
]

/** Seconds of whole requests. */
export const REQUEST = [
  ...[0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60],
  ...[120, 240, 480, 960, 1920, 7680],
]

/** Tokens of one step. */
export const STEP_TOKENS = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384]

/** Outputs of a request. */
export const OUTPUTS = [1, 2, 5, 10, 20]

/** 1, 2, 5, 10, 20, 50 … up to the longest sequence. */
export function tokenBuckets(longest: number): number[] {
  const buckets: number[] = []
  for (let unit = 1; unit <= longest; unit *= 10) {
    buckets.push(...[1, 2, 5].map((step) => step * unit).filter((bound) => bound <= longest))
  }
  return buckets
}
