import { readdir } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { EngineError } from '../errors.js'
import { invalidTensor } from './encoded-tensors.js'
import { fileState, holding, readJson } from './files.js'
import { readLoraConfig, type LoraConfig } from './lora-config.js'
import { readSafetensors, type StoredTensor } from './safetensors.js'

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
  /** Of its folder. Absolute. */
  readonly path: string
  /** The largest of its modules. */
  readonly rank: number
  /** By their names. */
  readonly modules: ReadonlyMap<string, LoraModule>
  /** Another text, where the contents of its files may differ. */
  readonly identity: string
}

const CONFIG = 'adapter_config.json'
const TENSORS = 'adapter_model.safetensors'

/** The files of an adapter, as PEFT writes it. */
export const ADAPTER_FILES = [CONFIG, TENSORS] as const

/**
 * Reads an adapter (LoRA) in PEFT's format: its config and its tensors' headers. Throws EngineError `model_not_found`
 * where one of its files is missing, `not_supported` for an adapter that is more than two matrices beside each of
 * its modules' own, and `invalid_file` naming the file, the field or tensor, what was expected and what was found.
 *
 * @example
 * const adapter = await readLoraAdapter('adapters/sql')
 * adapter.modules.get('model.layers.0.self_attn.q_proj')?.scale
 */
export async function readLoraAdapter(folder: string): Promise<LoraAdapter> {
  const path = resolve(folder)
  checkAdapterFiles(path, await readdir(path))
  const [configFile, tensorFile] = [join(path, CONFIG), join(path, TENSORS)]
  const identity = JSON.stringify(await Promise.all([configFile, tensorFile].map(fileState)))
  const config = readLoraConfig(await readJson(configFile), configFile)
  const { tensors } = await readSafetensors(tensorFile)
  const pairs = pairsOf(tensors)
  if (pairs.size === 0)
    throw new EngineError(
      'invalid_file',
      `${tensorFile}: expected lora_A and lora_B of modules, found no tensors`,
    )
  const modules = new Map([...pairs].map(([name, pair]) => [name, moduleOf(name, pair, config)]))
  const rank = Math.max(...[...modules.values()].map((module) => module.rank))
  return { path, rank, modules, identity }
}

/** Throws EngineError `model_not_found` where a folder or a repository with such files lacks one of an adapter's. */
export function checkAdapterFiles(place: string, names: readonly string[]): void {
  const missing = ADAPTER_FILES.find((file) => !names.includes(file))
  if (missing === undefined) return
  const other = names.find((name) => /\.(bin|pt|pth|gguf)$/.test(name))
  const there = other ? ` (it holds ${other}; convert it to safetensors)` : holding(names)
  throw new EngineError('model_not_found', `${place} has no ${missing}${there}`)
}

interface Pair {
  readonly A?: StoredTensor
  readonly B?: StoredTensor
}

/** The name that training gave the adapter is left in by some writers, the base model's place left out. */
const NAME = /^(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.default)?\.weight$/

function pairsOf(tensors: readonly StoredTensor[]): ReadonlyMap<string, Pair> {
  const pairs = new Map<string, Pair>()
  for (const tensor of tensors) {
    const [, module, which] = NAME.exec(tensor.name) ?? []
    if (module === undefined || (which !== 'A' && which !== 'B'))
      throw new EngineError(
        'not_supported',
        `${basename(tensor.file)}: tensor ${tensor.name}: only lora_A.weight and lora_B.weight of linear modules are supported, no embeddings, biases or whole modules`,
      )
    const pair = pairs.get(module)
    if (pair?.[which]) throw invalidTensor(tensor, `is there as ${pair[which].name} too`)
    pairs.set(module, { ...pair, [which]: tensor })
  }
  return pairs
}

function moduleOf(name: string, { A: a, B: b }: Pair, config: LoraConfig): LoraModule {
  if (!a) throw invalidTensor(b!, `is there without lora_A of its module`)
  if (!b) throw invalidTensor(a, `is there without lora_B of its module`)
  const rank = config.rankOf(name)
  checkRank(a, a.shape[0], `[${rank}, in]`, rank)
  checkRank(b, b.shape[1], `[out, ${rank}]`, rank)
  return { name, rank, scale: config.scaleOf(name), a, b }
}

function checkRank(tensor: StoredTensor, found: number | undefined, shape: string, rank: number) {
  if (tensor.shape.length === 2 && found === rank) return
  const stored = `[${tensor.shape.join(', ')}]`
  throw invalidTensor(tensor, `expected shape ${shape}, by the rank in ${CONFIG}, found ${stored}`)
}
