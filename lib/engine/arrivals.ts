import type { Request } from './request.js'

type Take = (request: Request) => void

/** Requests of addRequest whose long text is still being tokenised, or whose grammar is compiled. */
export class Arrivals {
  readonly #enter: Take
  readonly #drop: Take
  /** By id; a cancelled one has none. */
  readonly #arriving = new Map<string, Promise<void>>()
  /** All of them, the cancelled ones too. */
  readonly #awaited = new Set<Promise<void>>()

  /** @param enter takes those that have arrived, `drop` those that were aborted meanwhile */
  constructor(enter: Take, drop: Take) {
    this.#enter = enter
    this.#drop = drop
  }

  has(requestId: string): boolean {
    return this.#arriving.has(requestId)
  }

  add(requestId: string, request: Promise<Request>): void {
    // When it was cancelled, another one may have its id by then.
    const isWanted = () =>
      this.#arriving.get(requestId) === arrival && this.#arriving.delete(requestId)
    const arrival: Promise<void> = request.then(
      (arrived) => {
        if (isWanted()) this.#enter(arrived)
        else {
          arrived.finish('abort')
          this.#drop(arrived)
        }
      },
      (error: unknown) => {
        if (isWanted()) throw error // of a cancelled one, which could not have run, nobody hears
      },
    )
    arrival.catch(() => undefined) // whoever waits for `all` gets it
    this.#arriving.set(requestId, arrival)
    this.#awaited.add(arrival)
  }

  /** False when no such request is arriving. */
  cancel(requestId: string): boolean {
    return this.#arriving.delete(requestId)
  }

  /** Resolves when all have arrived; rejects with the failure of one that cannot. */
  async all(): Promise<void> {
    for (const arrival of [...this.#awaited]) {
      await arrival.finally(() => this.#awaited.delete(arrival))
    }
  }
}
