/** Milliseconds between two refills. */
const TICK = 5
/** Writes a tick that nobody waits for: 4,000 a second. */
const WRITES = 20
/** Ticks that a stream waits at most, so that no reader notices. */
const LONGEST = 10

/**
 * Keeps the writes of all streams together below a number a second: a stream beyond it waits for its
 * turn, and then writes all the tokens that came meanwhile. One timer serves all.
 */
export class Pace {
  #left = WRITES
  #ticking = false
  /** Who waits, in the order of arrival. */
  readonly #waiting: (() => void)[] = []

  /** The same items, taken from their source no faster than the pace allows. */
  async *keep<T>(items: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    for await (const item of items) {
      yield item
      if (!this.#ticking) this.#tick()
      if (this.#left > 0) this.#left--
      else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  #tick(): void {
    this.#ticking = true
    setTimeout(() => this.#refill(), TICK)
  }

  #refill(): void {
    const most = Math.max(WRITES, Math.ceil(this.#waiting.length / LONGEST))
    const woken = this.#waiting.splice(0, most)
    this.#left = Math.max(0, WRITES - woken.length)
    this.#ticking = false
    if (woken.length > 0) this.#tick()
    for (const resume of woken) resume()
  }
}
