import { setMaxListeners } from 'node:events'
import type { Request, RequestListener } from './request.js'

/** Collects the requests that have moved, for whoever steps the engine. */
export function collecting(moved: Set<Request>): RequestListener {
  return {
    onMoved: (request) => moved.add(request),
    onEnded: (request) => moved.add(request),
    onError: () => undefined,
  }
}

/** Lets one caller await a request: its moves, its failure, and the caller's own signal. */
export class Waiter implements RequestListener {
  /** What is awaited; null until it is queued. */
  request: Request | null = null
  /** Ends the request as soon as the signal is aborted, whatever the caller does at the time. */
  onGivenUp: () => void = () => undefined
  readonly #signal: AbortSignal | undefined
  #failure: { readonly reason: unknown } | null = null
  #hasMoved = false
  #hasEnded = false
  #wakeMoved: () => void = () => undefined
  #wakeEnded: () => void = () => undefined

  constructor(signal?: AbortSignal) {
    this.#signal = signal
    if (signal) setMaxListeners(0, signal) // any number of requests may share one: it is no leak
    if (signal?.aborted === true) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort)
  }

  onMoved(): void {
    this.#hasMoved = true
    this.#wakeMoved()
  }

  onEnded(): void {
    this.#hasEnded = true
    this.#wakeEnded()
    this.onMoved()
  }

  onError(reason: unknown): void {
    this.#failure ??= { reason }
    this.#wakeEnded()
    this.#wakeMoved()
  }

  /** Throws the failure, or the signal's reason, if there is one. */
  check(): void {
    if (this.#failure !== null) throw this.#failure.reason
  }

  /** Resolves when the request has moved since the last call, or is over; rejects when it has failed. */
  async moved(): Promise<void> {
    this.check()
    if (!this.#hasMoved) await new Promise<void>((resolve) => (this.#wakeMoved = resolve))
    this.check()
    this.#hasMoved = false
  }

  /** Resolves when the request is over, undisturbed by its moves; rejects when it has failed. */
  async ended(): Promise<void> {
    this.check()
    if (!this.#hasEnded) await new Promise<void>((resolve) => (this.#wakeEnded = resolve))
    this.check()
  }

  /** Lets go of the signal. */
  release(): void {
    this.#signal?.removeEventListener('abort', this.#onAbort)
  }

  readonly #onAbort = (): void => {
    this.onError(this.#signal?.reason)
    this.onGivenUp()
  }
}
