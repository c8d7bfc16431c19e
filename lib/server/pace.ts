/** Milliseconds between two refills. */
const TICK = 5
/** Writes a tick that nobody waits for: 4,000 a second. */
const WRITES = 20
/** Ticks that a stream waits at most, so that no reader notices. */
const LONGEST = 10

/**
 * Keeps the writes of all streams together below a number a second: a stream beyond it waits for its
 * turn, and then writes all the tokens that came meanwhile. One timer serves all who wait.
 */
export class Pace {
  #left = WRITES
  /** When the writes were counted out last, on the clock of `performance`. */
  #refilled = 0
  /** Who waits, in the order of arrival. */
  readonly #waiting: (() => void)[] = []

  /** To be awaited after a write, before the next one; null: it may come at once. */
  turn(): Promise<void> | null {
    if (this.#waiting.length === 0) this.#refill()
    if (this.#left > 0) {
      this.#left--
      return null
    }
    if (this.#waiting.length === 0) setTimeout(() => this.#wake(), TICK)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #refill(): void {
    const now = performance.now()
    if (now - this.#refilled < TICK) return
    this.#refilled = now
    this.#left = WRITES
  }

  #wake(): void {
    const most = Math.max(WRITES, Math.ceil(this.#waiting.length / LONGEST))
    const woken = this.#waiting.splice(0, most)
    this.#refilled = performance.now()
    this.#left = Math.max(0, WRITES - woken.length)
    if (this.#waiting.length > 0) setTimeout(() => this.#wake(), TICK)
    for (const resume of woken) resume()
  }
}
