import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { EngineError } from '../errors.js'
import type { Checkpoint } from './checkpoint.js'
import { isFile, readRange } from './files.js'
import { ggmlEncoding } from './ggml-types.js'
import { architectureOf } from './gguf-architectures.js'
import { chooseGguf, ggufModels, ggufParts, type GgufWish } from './gguf-choice.js'
import type { RopeFactors } from './gguf-config.js'
import { checkpointName, LLAMA_PLACES, PRE_NORM } from './gguf-names.js'
import { readGguf, type GgufFile } from './gguf.js'
import type { StoredTensor } from './safetensors.js'

/**
 * The GGUF file of a folder that is wished for, or the preferred one of several, the first of its parts if it is split;
 * null where there is none and no wish. Throws EngineError `model_not_found` where none or several could be meant.
 */
export async function findGguf(
  folder: string,
  wish: GgufWish | null = null,
): Promise<string | null> {
  const models = ggufModels(await readdir(folder))
  if (models.length === 0 && wish === null) return null
  return join(folder, chooseGguf(folder, models, wish ?? {}))
}

/** Reads a model's header from one file, or from all the parts of which `path` is the first. */
export async function readGgufModel(path: string): Promise<GgufFile> {
  const first = await readGguf(path)
  const parts = [first]
  for (const part of otherParts(first)) {
    if (!(await isFile(part)))
      throw new EngineError('invalid_file', `${basename(path)}: its part ${part} is missing`)
    parts.push(await readGguf(part))
  }
  return { ...first, tensors: parts.flatMap(({ tensors }) => tensors) }
}

function otherParts({ path, metadata }: GgufFile): readonly string[] {
  const count = metadata.get('split.count') ?? 0
  if (typeof count !== 'number' || count < 2) return []
  const [start, ...others] = ggufParts(path)
  if (start === path && others.length === count - 1) return others
  const last = String(count).padStart(5, '0')
  throw new EngineError(
    'invalid_file',
    `${basename(path)}: it is one of ${count} parts; name the first, …-00001-of-${last}.gguf`,
  )
}

/** The small tensors that a config.json has as lists; Llama 3's serve sequences of any length. */
export async function readRopeFactors({ tensors }: GgufFile): Promise<RopeFactors> {
  const read = async (name: string) => {
    const tensor = tensors.find((tensor) => tensor.name.endsWith(`rope_${name}.weight`))
    return tensor && readFloats(tensor)
  }
  const freqs = await read('freqs')
  if (freqs) return { short: freqs, long: freqs }
  const [short, long] = [await read('factors_short'), await read('factors_long')]
  return { ...(short && { short }), ...(long && { long }) }
}

async function readFloats({ name, file, offset, length, dtype }: StoredTensor): Promise<number[]> {
  if (dtype !== 'F32' || length > 2 ** 16)
    throw new EngineError('invalid_file', `${basename(file)}: tensor ${name}: expected F32, a few`)
  const bytes = await readRange(file, offset, length)
  return Array.from({ length: length / 4 }, (_, i) => bytes.readFloatLE(4 * i))
}

/** The file's tensors under the names that the model families declare. */
export function ggufCheckpoint(file: GgufFile): Checkpoint {
  const found = architectureOf(file)
  const { fields, places = LLAMA_PLACES, layers = PRE_NORM, paired = false } = found
  const query = fields.integer('attention.head_count', 1)
  const heads = { q: query, k: fields.integer('attention.head_count_kv', 1, query) }
  const experts = fields.integer('expert_count', 0, 0)
  const named = new Map<string, StoredTensor>()
  for (const tensor of file.tensors) {
    const name = checkpointName(places, layers, tensor.name)
    if (name === null) continue
    const [, which] = /\.attn_([qk])\.(?:weight|bias)$/.exec(tensor.name) ?? []
    const pairedHeads = paired && (which === 'q' || which === 'k') ? heads[which] : 0
    const encoding = ggmlEncoding(tensor.dtype)
    const whole = {
      ...{ ...tensor, name },
      ...(pairedHeads > 0 && { pairedHeads }),
      ...(encoding && { encoding }),
    }
    for (const part of partsOf(whole, [experts, ...Object.values(heads)]))
      named.set(part.name, part)
  }
  return { folder: file.path, tensors: named, metadata: new Map() }
}

/** The matrices, or vectors, of a stack; a gate that lost its one row has it again. */
function partsOf(tensor: StoredTensor, counts: readonly number[]): readonly StoredTensor[] {
  const { name, shape, offset } = tensor
  if (name.endsWith('expert_gate.weight') && shape.length === 1)
    return [{ ...tensor, shape: [1, ...shape] }]
  const [count, ...inner] = shape
  if (!name.includes('*') || count === undefined || !counts.includes(count)) return [tensor]
  const length = tensor.length / count
  return Array.from({ length: count }, (_, i) => {
    const place = { offset: offset + i * length, length }
    return { ...tensor, ...place, name: name.replace('*', String(i)), shape: inner }
  })
}
