import type { Request } from './request.js'

/** Requests of addRequest whose long text is still being tokenised, by id. */
export class Arrivals {
  readonly #arriving = new Map<string, Promise<void>>()

  has(requestId: string): boolean {
    return this.#arriving.has(requestId)
  }

  /** Hands the request on when its text is tokenised, unless it was cancelled meanwhile. */
  add(requestId: string, request: Promise<Request>, enter: (request: Request) => void): void {
    const arrival = request.then((arrived) => {
      if (this.#arriving.delete(requestId)) enter(arrived)
      else arrived.release()
    })
    arrival.catch(() => undefined) // whoever waits for `all` gets it
    this.#arriving.set(requestId, arrival)
  }

  /** False when no such request is arriving. */
  cancel(requestId: string): boolean {
    return this.#arriving.delete(requestId)
  }

  /** Resolves when all have arrived; rejects with the failure of one that cannot. */
  async all(): Promise<void> {
    for (const [requestId, arrival] of [...this.#arriving]) {
      await arrival.finally(() => this.#arriving.delete(requestId))
    }
  }
}
