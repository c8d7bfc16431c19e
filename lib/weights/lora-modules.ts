import { invalidTensor } from './encoded-tensors.js'
import type { StoredTensor } from './safetensors.js'

/** A matrix that an adapter changes: its product becomes `out + scale × (input × aᵀ) × bᵀ`. */
export interface LoraModule {
  /** Of the module in the base model, such as `model.layers.0.self_attn.q_proj`. */
  readonly name: string
  readonly rank: number
  readonly scale: number
  /** [rank, in] */
  readonly a: StoredTensor
  /** [out, rank] */
  readonly b: StoredTensor
}

export interface LoraAdapter {
  /** Of its folder or file. Absolute. */
  readonly path: string
  /** The largest of its modules. */
  readonly rank: number
  /** By their names. */
  readonly modules: ReadonlyMap<string, LoraModule>
  /** Another text, where the contents of its files may differ. */
  readonly identity: string
}

type Which = 'A' | 'B'

/** The two matrices of each module, as they are found. */
export class LoraPairs {
  readonly #pairs = new Map<string, Partial<Record<Which, StoredTensor>>>()

  has(module: string): boolean {
    return this.#pairs.has(module)
  }

  /** Throws EngineError `invalid_file` where the module has such a matrix already. */
  add(module: string, which: Which, tensor: StoredTensor): void {
    const pair = this.#pairs.get(module)
    if (pair?.[which]) throw invalidTensor(tensor, `is there as ${pair[which].name} too`)
    this.#pairs.set(module, { ...pair, [which]: tensor })
  }

  /** Makes a module of each pair. Throws EngineError `invalid_file` where one lacks a matrix. */
  modules(
    make: (name: string, a: StoredTensor, b: StoredTensor) => LoraModule,
  ): ReadonlyMap<string, LoraModule> {
    const modules = [...this.#pairs].map(([name, { A: a, B: b }]) => {
      if (!a) throw invalidTensor(b!, `is there without lora_A of its module`)
      if (!b) throw invalidTensor(a, `is there without lora_B of its module`)
      return [name, make(name, a, b)] as const
    })
    return new Map(modules)
  }
}

/** The largest rank of modules. */
export function largestRank(modules: ReadonlyMap<string, LoraModule>): number {
  return Math.max(...[...modules.values()].map(({ rank }) => rank))
}

/** Throws EngineError `invalid_file` unless the matrices have these shapes; `source` says where the rank is from. */
export function checkRank(a: StoredTensor, b: StoredTensor, rank: number, source: string): void {
  const check = (tensor: StoredTensor, found: number | undefined, shape: string) => {
    if (tensor.shape.length === 2 && found === rank) return
    const stored = `[${tensor.shape.join(', ')}]`
    throw invalidTensor(
      tensor,
      `expected shape ${shape}, by the rank in ${source}, found ${stored}`,
    )
  }
  check(a, a.shape[0], `[${rank}, in]`)
  check(b, b.shape[1], `[out, ${rank}]`)
}
