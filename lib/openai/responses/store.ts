import type { Item } from './items.js'

/** A response that can be gone on with. */
export interface StoredResponse {
  readonly body: Readonly<Record<string, unknown>> & { readonly id: string }
  /** What it was asked: its own items, and those of the responses before it. */
  readonly conversation: readonly Item[]
  /** Its own input. */
  readonly input: readonly Item[]
}

/** Finished responses in this process's memory, the last ones used; others are forgotten. */
export class ResponseStore {
  readonly #limit: number
  readonly #byId = new Map<string, StoredResponse>()

  /** Keeps so many responses at most; 0 keeps none. */
  constructor(limit: number) {
    this.#limit = limit
  }

  add(response: StoredResponse): void {
    this.#byId.set(response.body.id, response)
    for (const id of this.#byId.keys()) {
      if (this.#byId.size <= this.#limit) return
      this.#byId.delete(id)
    }
  }

  /** null where it is not (any more) there. */
  get(id: string): StoredResponse | null {
    const found = this.#byId.get(id)
    if (found === undefined) return null
    this.#byId.delete(id)
    this.#byId.set(id, found)
    return found
  }

  /** An item of a conversation that is kept, most likely of the last one; null where there is none. */
  item(id: unknown): Item | null {
    for (const { conversation } of [...this.#byId.values()].reverse()) {
      const found = conversation.findLast((item) => item.id === id)
      if (found !== undefined) return found
    }
    return null
  }

  delete(id: string): boolean {
    return this.#byId.delete(id)
  }
}
