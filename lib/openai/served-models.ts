import { checkText, describe, outOfRange } from '../check.js'
import type { CallOptions } from '../engine/call-options.js'
import type { LoraRequest } from '../engine/lora-request.js'
import type { Loras } from '../engine/loras.js'
import { UnknownModelError } from './errors.js'

/** What a request asks for by its `model`. */
export interface AskedModel {
  /** As the answer calls it. */
  readonly name: string
  /** What the engine is called with for it: with the adapter, if it is one. */
  readonly call: Pick<CallOptions, 'loraRequest'>
}

/** An engine whose model and adapters are served. */
export interface ServingEngine {
  readonly model: string
  readonly loras: Pick<Loras, 'names' | 'get'>
}

/** What requests may give as their `model`: names of an engine's own model, and those of its adapters (LoRA). */
export class ServedModels {
  /** Of the engine's own model; the first one is that of answers to requests that name none. */
  readonly names: readonly string[]
  readonly #loras: ServingEngine['loras']

  /** Unless names are given, the model is called as the engine calls it. */
  constructor({ model, loras }: ServingEngine, names: readonly string[] | null = null) {
    this.names = names ?? [model]
    this.#loras = loras
  }

  get adapters(): readonly LoraRequest[] {
    return this.#loras.names.map((name) => this.#loras.get(name)!)
  }

  /** Throws UnknownModelError for a model that is not served. */
  find(model: string | null): AskedModel {
    if (model === null) return { name: this.names[0]!, call: {} }
    if (this.names.includes(model)) return { name: model, call: {} }
    const loraRequest = this.#loras.get(model)
    if (loraRequest !== undefined) return { name: model, call: { loraRequest } }
    const served = quoted([...this.names, ...this.#loras.names])
    throw new UnknownModelError(`model: expected ${served} or none, found ${describe(model)}`)
  }
}

/**
 * A name for an adapter beside those of the model. Throws TypeError or RangeError naming the field for one by which it
 * could not be told apart.
 */
export function checkAdapterName(field: string, value: unknown, served: readonly string[]): string {
  const name = checkText(field, value)
  // Metrics list names between commas.
  if (/[\p{Cc},]/u.test(name))
    throw outOfRange(field, 'a name without commas and control characters', name)
  if (served.includes(name)) throw outOfRange(field, "another name than the model's", name)
  return name
}

/** The model that an adapter is said to be of, if it is said: by an empty text it is not. Throws RangeError for another. */
export function checkBaseModel(field: string, value: unknown, names: readonly string[]): void {
  if (value === undefined || value === '') return
  if (!names.some((name) => name === value)) throw outOfRange(field, quoted(new Set(names)), value)
}

function quoted(names: Iterable<string>): string {
  return Array.from(names, (name) => JSON.stringify(name)).join(' or ')
}
