import { basename, resolve } from 'node:path'
import { EngineError } from '../errors.js'
import { fileState } from './files.js'
import { architectureOf, type Architecture } from './gguf-architectures.js'
import { checkpointName, LLAMA_PLACES, PRE_NORM } from './gguf-names.js'
import { metadataOf, readGguf, type GgufFile } from './gguf.js'
import { checkRank, largestRank, LoraPairs, type LoraAdapter } from './lora-modules.js'
import type { StoredTensor } from './safetensors.js'

/** Heads of the base model, by whose rows a file may pair those of q and k. */
export interface AdapterHeads {
  readonly q: number
  readonly k: number
}

/**
 * Reads an adapter (LoRA) in GGUF, as llama.cpp converts PEFT's. Throws EngineError `not_supported` for a file that is
 * no such adapter, `unsupported_model` for one of an unknown architecture, and `invalid_file` naming the tensor, what was
 * expected and what was found.
 *
 * @example
 * const adapter = await readGgufAdapter('sql-f16.gguf', { q: 32, k: 8 })
 */
export async function readGgufAdapter(file: string, heads: AdapterHeads): Promise<LoraAdapter> {
  const path = resolve(file)
  const identity = JSON.stringify(await fileState(path))
  const gguf = await readGguf(path)
  const fields = metadataOf(gguf)
  const [general, kind] = [fields.text('general.type', ''), fields.text('adapter.type', '')]
  if (general !== 'adapter' || kind !== 'lora')
    throw notSupported(
      gguf,
      `expected general.type adapter and adapter.type lora, found ${JSON.stringify([general, kind])}`,
    )
  if (fields.has('adapter.alora.invocation_tokens'))
    throw notSupported(
      gguf,
      'adapter.alora.invocation_tokens: only an adapter without it is supported',
    )
  const alpha = fields.number('adapter.lora.alpha', 0)
  const modules = pairsOf(gguf, architectureOf(gguf), heads).modules((name, a, b) => {
    const rank = a.shape[0] ?? 0
    checkRank(a, b, rank, 'lora_a')
    // As llama.cpp has it: without alpha nothing is scaled.
    return { name, rank, scale: alpha === 0 ? 1 : alpha / rank, a, b }
  })
  if (modules.size === 0)
    throw notSupported(gguf, 'expected lora_a and lora_b of matrices, found no tensors')
  return { path, rank: largestRank(modules), modules, identity }
}

function pairsOf(
  gguf: GgufFile,
  { places = LLAMA_PLACES, layers = PRE_NORM, paired = false }: Architecture,
  heads: AdapterHeads,
): LoraPairs {
  const pairs = new LoraPairs()
  for (const tensor of gguf.tensors) {
    const [, matrix, which] = /^(.+)\.lora_([ab])$/.exec(tensor.name) ?? []
    if (matrix === undefined)
      throw notSupported(
        gguf,
        `tensor ${tensor.name}: only lora_a and lora_b of matrices are supported`,
      )
    const module = (checkpointName(places, layers, matrix) ?? matrix).replace(/\.weight$/, '')
    const rows = paired && which === 'b' ? pairedRows(matrix, heads) : 0
    const stored: StoredTensor = rows > 0 ? { ...tensor, pairedHeads: rows } : tensor
    pairs.add(module, which === 'a' ? 'A' : 'B', stored)
  }
  return pairs
}

/** Heads whose rows stand in pairs; 0: none. */
function pairedRows(matrix: string, heads: AdapterHeads): number {
  const [, which] = /\.attn_([qk])\.weight$/.exec(matrix) ?? []
  return which === 'q' || which === 'k' ? heads[which] : 0
}

function notSupported({ path }: GgufFile, message: string): EngineError {
  return new EngineError('not_supported', `${basename(path)}: ${message}`)
}
