import { readdir } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { EngineError } from '../errors.js'
import { fileState, holding, readJson } from './files.js'
import { readLoraConfig } from './lora-config.js'
import { checkRank, largestRank, LoraPairs, type LoraAdapter } from './lora-modules.js'
import { readSafetensors, type StoredTensor } from './safetensors.js'

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
  const modules = pairsOf(tensors).modules((name, a, b) => {
    const rank = config.rankOf(name)
    checkRank(a, b, rank, CONFIG)
    return { name, rank, scale: config.scaleOf(name), a, b }
  })
  if (modules.size === 0)
    throw new EngineError(
      'invalid_file',
      `${tensorFile}: expected lora_A and lora_B of modules, found no tensors`,
    )
  return { path, rank: largestRank(modules), modules, identity }
}

/** Throws EngineError `model_not_found` where a folder or a repository with such files lacks one of an adapter's. */
export function checkAdapterFiles(place: string, names: readonly string[]): void {
  const missing = ADAPTER_FILES.find((file) => !names.includes(file))
  if (missing === undefined) return
  const other = names.find((name) => /\.(bin|pt|pth|gguf)$/.test(name))
  const advice = other?.endsWith('.gguf')
    ? 'name a file of this machine'
    : 'convert it to safetensors'
  const there = other ? ` (it holds ${other}; ${advice})` : holding(names)
  throw new EngineError('model_not_found', `${place} has no ${missing}${there}`)
}

/** The name that training gave the adapter is left in by some writers, the base model's place left out. */
const NAME = /^(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.default)?\.weight$/

/** The base model's matrix of an adapted head, which training leaves as it is but PEFT writes too. */
const BASE = /^(?:base_model\.model\.)?(.+)\.base_layer\.weight$/

function pairsOf(tensors: readonly StoredTensor[]): LoraPairs {
  const pairs = new LoraPairs()
  const others: StoredTensor[] = []
  for (const tensor of tensors) {
    const [, module, which] = NAME.exec(tensor.name) ?? []
    if (module !== undefined && (which === 'A' || which === 'B')) pairs.add(module, which, tensor)
    else others.push(tensor)
  }
  const refused = others.find(({ name }) => !pairs.has(BASE.exec(name)?.[1] ?? ''))
  if (refused === undefined) return pairs
  throw new EngineError(
    'not_supported',
    `${basename(refused.file)}: tensor ${refused.name}: only lora_A.weight and lora_B.weight of linear modules are supported, no embeddings, biases or whole modules`,
  )
}
