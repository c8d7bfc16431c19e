import { setTimeout as sleep } from 'node:timers/promises'

/** Milliseconds between two writes of a stream for each stream that is open: 4,000 writes a second. */
const SHARE = 0.25
/** No reader notices less; no stream waits longer. */
const LONGEST = 50

/**
 * Keeps the writes of all streams together below a number a second: the more streams are open, the
 * more tokens each write holds.
 */
export class Pace {
  #open = 0

  /** The same items, taken from their source no faster than the pace allows. */
  async *keep<T>(items: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    this.#open++
    try {
      for await (const item of items) {
        yield item
        const rest = Math.min(this.#open * SHARE, LONGEST)
        if (rest >= 1) await sleep(rest)
      }
    } finally {
      this.#open--
    }
  }
}
