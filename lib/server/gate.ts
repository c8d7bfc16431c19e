import { unavailable } from './http-error.js'

/** Lets requests in, up to a number at once, until it is closed. */
export class Gate {
  readonly #limit: () => number
  #inside = 0
  #closed = false
  #onEmpty: () => void = () => undefined

  constructor(limit: () => number) {
    this.#limit = limit
  }

  /** Requests that are inside. */
  get inside(): number {
    return this.#inside
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Takes a request in. Throws HttpError 429 when it is full, 503 when it is closed. */
  enter(): void {
    if (this.#closed) throw unavailable(503, 'shutting_down', 'the server is shutting down')
    const limit = this.#limit()
    if (this.#inside >= limit) {
      throw unavailable(429, 'queue_full', `${limit} requests are waiting or running already`)
    }
    this.#inside++
  }

  leave(): void {
    this.#inside--
    if (this.#inside === 0) this.#onEmpty()
  }

  /** Lets nobody in any more; resolves when everybody has left. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#inside > 0) await new Promise<void>((resolve) => (this.#onEmpty = resolve))
  }
}
