/** mulberry32: a small generator of uniform numbers, the same on every machine. */
export class Random {
  #state: number

  constructor(state: number) {
    this.#state = state
  }

  /** Uniform in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    const s = this.#state
    let x = Math.imul(s ^ (s >>> 15), s | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number of 0 … count − 1. */
  below(count: number): number {
    return Math.floor(this.next() * count)
  }

  /** Seconds to the next event of a Poisson process. */
  gap(rate: number): number {
    return -Math.log(1 - this.next()) / rate
  }

  /** A lognormal length of at least 2 tokens; `variation` is the standard deviation over the mean. */
  lognormalLength(mean: number, variation: number): number {
    const variance = Math.log(1 + variation ** 2)
    const radius = Math.sqrt(-2 * Math.log(1 - this.next()))
    const z = radius * Math.cos(2 * Math.PI * this.next())
    return Math.max(2, Math.round(mean * Math.exp(Math.sqrt(variance) * z - variance / 2)))
  }
}
