import { resolve } from 'node:path'
import { EngineError, loadError } from '../errors.js'
import { printAdapter } from '../plan/adapter.js'
import type { Plan, Weight } from '../plan/ops.js'
import type { LoadableAdapter } from '../weights/loadable-adapter.js'
import type { AdapterHeads } from '../weights/gguf-adapter.js'
import { findAdapter } from '../weights/locate-adapter.js'
import { matchAdapter } from '../weights/match-adapter.js'
import type { EngineConfig } from './config.js'
import type { LoraConfig } from './lora-config.js'
import { checkLoraRequest, type LoraRequest } from './lora-request.js'

/** An adapter that is known, and a request that names it as it is now, whatever becomes of its name. */
class KnownLora implements LoraRequest {
  readonly loraName: string
  readonly loraPath: string
  /** A promise while its files are read. */
  #adapter: LoadableAdapter | Promise<LoadableAdapter>

  constructor(loraName: string, loraPath: string, reading: Promise<LoadableAdapter>) {
    this.loraName = loraName
    this.loraPath = loraPath
    this.#adapter = reading
  }

  get adapter(): LoadableAdapter | Promise<LoadableAdapter> {
    return this.#adapter
  }

  get isRead(): boolean {
    return !(this.#adapter instanceof Promise)
  }

  async read(): Promise<LoadableAdapter> {
    return (this.#adapter = await this.#adapter)
  }
}

/** The adapters (LoRA) that an engine knows by name: `engine.loras`. */
export class Loras {
  /** null: adapters are not served. */
  readonly #config: LoraConfig | null
  readonly #adaptable: readonly Weight[]
  readonly #heads: AdapterHeads | undefined
  readonly #download: boolean | undefined
  readonly #entries = new Map<string, KnownLora>()

  /** @param plans the model's, by each of the names that its modules have */
  constructor(
    plans: readonly Plan[],
    { lora, localFilesOnly }: Pick<EngineConfig, 'lora' | 'localFilesOnly'>,
  ) {
    this.#config = lora
    const ops = plans.flatMap(({ ops }) => ops)
    this.#adaptable = ops.flatMap((op) => (op.kind === 'adapt' ? op.weight : []))
    const attention = ops.find((op) => op.kind === 'ropeStoreKv')
    this.#heads = attention && { q: attention.heads, k: attention.kvHeads }
    this.#download = localFilesOnly ? false : undefined
  }

  /** The names of all whose files were read. */
  get names(): readonly string[] {
    return [...this.#entries.values()].flatMap(({ isRead, loraName }) => (isRead ? loraName : []))
  }

  /** Whether a name is taken; also by an adapter whose files are still being read. */
  has(loraName: string): boolean {
    return this.#entries.has(loraName)
  }

  /**
   * What requests name an adapter by: its name and path; undefined when there is none of that name whose files were
   * read. A call that is given
   * it is computed with the adapter as it is now, also when that is removed or added anew meanwhile.
   */
  get(loraName: string): LoraRequest | undefined {
    const known = this.#entries.get(loraName)
    return known?.isRead ? known : undefined
  }

  /**
   * Reads an adapter's files, anew where one of its name is known: it is that one until they are read, and requests
   * under way go on with it. Throws EngineError `model_not_found`, `invalid_file` or `not_supported` where the files are missing, broken or not
   * for this model, RangeError where its rank is above maxLoraRank. Its matrices are loaded once a request runs.
   *
   * @example
   * await engine.loras.add({ loraName: 'sql', loraPath: './sql' })
   * await engine.generate('How many users?', {}, { loraRequest: { loraName: 'sql' } })
   */
  async add(request: LoraRequest): Promise<void> {
    const { loraName, loraPath } = checkLoraRequest('loraRequest', request)
    if (loraPath === undefined) throw unknown(loraName)
    await this.#read(loraName, loraPath)
  }

  /** Forgets an adapter; requests under way go on with it. False when there is none of that name. */
  remove(loraName: string): boolean {
    return this.#entries.delete(loraName)
  }

  /** The adapter that a request names, at once where its files were read before. */
  find(request: LoraRequest): LoadableAdapter | Promise<LoadableAdapter> {
    this.#checkEnabled()
    if (request instanceof KnownLora) return request.adapter
    const { loraName, loraPath } = request
    const known = this.#entries.get(loraName)
    if (known === undefined && loraPath === undefined) throw unknown(loraName)
    if (known === undefined) return this.#read(loraName, loraPath!)
    if (loraPath !== undefined && resolve(loraPath) !== resolve(known.loraPath))
      throw new RangeError(
        `loraRequest.loraPath: expected ${known.loraPath}, where the adapter that is known as ${loraName} is from, found ${loraPath}`,
      )
    return known.adapter
  }

  /** An adapter could not be loaded: the next request that names it has its files read anew. Gives the reason. */
  fail(adapter: LoadableAdapter, error: Error): EngineError {
    if (this.#entries.get(adapter.name)?.adapter === adapter) this.#entries.delete(adapter.name)
    return loadError(error, `adapter ${adapter.name}: `)
  }

  async #read(name: string, path: string): Promise<LoadableAdapter> {
    const { maxLoraRank } = this.#checkEnabled()
    const entry = new KnownLora(name, path, this.#load(name, path, maxLoraRank))
    const replaces = this.#entries.has(name)
    if (!replaces) this.#entries.set(name, entry)
    try {
      const adapter = await entry.read()
      if (replaces) this.#entries.set(name, entry)
      return adapter
    } catch (error) {
      if (this.#entries.get(name) === entry) this.#entries.delete(name)
      throw error
    }
  }

  async #load(name: string, path: string, maxLoraRank: number): Promise<LoadableAdapter> {
    const options = { download: this.#download, heads: this.#heads }
    const adapter = await findAdapter(path, options)
    if (adapter.rank > maxLoraRank)
      throw new RangeError(
        `maxLoraRank: expected at least ${adapter.rank}, the rank of adapter ${name}, found ${maxLoraRank}`,
      )
    const { plan, tensors } = matchAdapter(this.#adaptable, adapter)
    return { name, identity: adapter.identity, text: printAdapter(plan), tensors }
  }

  #checkEnabled(): LoraConfig {
    if (this.#config !== null) return this.#config
    throw new EngineError('not_supported', 'loraRequest: needs enableLora')
  }
}

function unknown(loraName: string): RangeError {
  return new RangeError(
    `loraRequest.loraPath: expected the folder of adapter ${loraName}, as none of that name is known, found none`,
  )
}
