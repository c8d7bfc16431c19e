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

/** An adapter as it was read: a request that is this goes on with it, whatever becomes of its name. */
class KnownLora implements LoraRequest {
  readonly #adapter: LoadableAdapter

  constructor(
    readonly loraName: string,
    readonly loraPath: string,
    adapter: LoadableAdapter,
  ) {
    this.#adapter = adapter
  }

  get adapter(): LoadableAdapter {
    return this.#adapter
  }
}

/** An adapter whose files are being read. */
interface Reading {
  readonly loraPath: string
  readonly adapter: Promise<LoadableAdapter>
}

/** The adapters (LoRA) that an engine knows by name: `engine.loras`. */
export class Loras {
  /** null: adapters are not served. */
  readonly #config: LoraConfig | null
  readonly #adaptable: readonly Weight[]
  readonly #heads: AdapterHeads | undefined
  readonly #download: boolean | undefined
  readonly #known = new Map<string, KnownLora>()
  /** What was begun last under a name. */
  readonly #reading = new Map<string, Reading>()

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
    return [...this.#known.keys()]
  }

  /** Whether a name is taken; also by an adapter whose files are still being read. */
  has(loraName: string): boolean {
    return this.#known.has(loraName) || this.#reading.has(loraName)
  }

  /**
   * What requests name an adapter by, its name and path; undefined when there is none of that name whose files were
   * read. A prompt or call that is given this very object is computed with the adapter as it is now, also when that is
   * removed or added anew meanwhile.
   */
  get(loraName: string): LoraRequest | undefined {
    return this.#known.get(loraName)
  }

  /**
   * Reads an adapter's files, anew where one of its name is known: it is that one until they are read, and requests
   * under way go on with it. Of several reads under a name the one that was begun last counts. Throws EngineError
   * `model_not_found`, `invalid_file` or `not_supported` where the files are missing, broken or not for this model,
   * RangeError where its rank is above maxLoraRank. Its matrices are loaded once a request runs.
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

  /** Forgets an adapter, also one that is being read; requests under way go on with it. False when there is none of that name. */
  remove(loraName: string): boolean {
    const reads = this.#reading.delete(loraName)
    return this.#known.delete(loraName) || reads
  }

  /** The adapter that a request names, at once where its files were read before. */
  find(request: LoraRequest): LoadableAdapter | Promise<LoadableAdapter> {
    this.#checkEnabled()
    if (request instanceof KnownLora) return request.adapter
    const { loraName, loraPath } = request
    const known = this.#known.get(loraName) ?? this.#reading.get(loraName)
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
    if (this.#known.get(adapter.name)?.adapter === adapter) this.#known.delete(adapter.name)
    return loadError(error, `adapter ${adapter.name}: `)
  }

  async #read(name: string, loraPath: string): Promise<LoadableAdapter> {
    const { maxLoraRank } = this.#checkEnabled()
    const reading: Reading = { loraPath, adapter: this.#load(name, loraPath, maxLoraRank) }
    this.#reading.set(name, reading)
    const isLast = () => this.#reading.get(name) === reading
    try {
      const adapter = await reading.adapter
      if (isLast()) this.#known.set(name, new KnownLora(name, loraPath, adapter))
      return adapter
    } finally {
      if (isLast()) this.#reading.delete(name)
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
    `loraRequest.loraPath: expected where adapter ${loraName} lies, as none of that name is known, found none`,
  )
}
