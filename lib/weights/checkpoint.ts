import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { EngineError } from '../errors.js'
import { isObject } from '../models/fields.js'
import { textTensorName } from '../models/text-part.js'
import type { FileRange, NativeEncoding, NativeTensor } from '../native/addon-types.js'
import type { Plan, StoredType, WeightSource } from '../plan/ops.js'
import type { Encoding } from './encoded-tensors.js'
import { isFile, readJson } from './files.js'
import { ggufCheckpoint } from './gguf-model.js'
import type { ModelFolder } from './model-folder.js'
import { quantizationScheme } from './quantization.js'
import { readSafetensors, type StoredTensor } from './safetensors.js'

/** Every tensor of a model folder by name, headers checked, data unread. */
export interface Checkpoint {
  readonly folder: string
  readonly tensors: ReadonlyMap<string, StoredTensor>
  /** What the headers of safetensors files say beside their tensors, all files together. */
  readonly metadata: ReadonlyMap<string, string>
}

const SINGLE = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'

/**
 * Reads the headers of a folder's safetensors files, of one or of several with an index.
 * Throws EngineError `model_not_found` where there are none and `invalid_file` for a bad file.
 *
 * @example
 * const checkpoint = await readCheckpoint('models/demo')
 * const tensors = matchCheckpoint(plan, checkpoint) // ready for NativeEngine.load
 */
export async function readCheckpoint(folder: string): Promise<Checkpoint> {
  if (await isFile(join(folder, SINGLE))) {
    const { tensors, metadata } = await readSafetensors(join(folder, SINGLE))
    return { folder, tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])), metadata }
  }
  if (await isFile(join(folder, INDEX))) return readShards(folder)
  throw new EngineError('model_not_found', await describeMissing(folder))
}

/** The checkpoint of a model, from its GGUF file or its folder; quantised modules put together. */
export async function checkpointOf(model: ModelFolder): Promise<Checkpoint> {
  if (model.gguf) return ggufCheckpoint(model.gguf)
  const scheme = quantizationScheme(model)
  const checkpoint = await readCheckpoint(model.path)
  const tensors = scheme === null ? checkpoint.tensors : await scheme.encode(checkpoint)
  return { ...checkpoint, tensors: loadedTensors(model.config, tensors) }
}

/** The tensors of what is loaded of a model, under the names that its family declares. */
function loadedTensors(config: unknown, tensors: Checkpoint['tensors']): Checkpoint['tensors'] {
  const named = [...tensors.values()].flatMap((tensor) => {
    const name = textTensorName(config, tensor.name)
    return name === null ? [] : [[name, { ...tensor, name }] as const]
  })
  return new Map(named)
}

/** Whether the folder holds all the files that `readCheckpoint` would read. */
export async function isCheckpointComplete(folder: string): Promise<boolean> {
  if (await isFile(join(folder, SINGLE))) return true
  if (!(await isFile(join(folder, INDEX)))) return false
  const shards = new Set((await readIndex(folder)).values())
  const found = await Promise.all([...shards].map((shard) => isFile(join(folder, shard))))
  return found.every(Boolean)
}

async function readShards(folder: string): Promise<Checkpoint> {
  const index = await readIndex(folder)
  const tensors = new Map<string, StoredTensor>()
  const metadata = new Map<string, string>()
  for (const shard of [...new Set(index.values())].sort()) {
    if (!(await isFile(join(folder, shard))))
      throw invalid(`${INDEX}: file ${shard} is missing in ${folder}`)
    const file = await readSafetensors(join(folder, shard))
    for (const [key, value] of file.metadata) metadata.set(key, value)
    for (const tensor of file.tensors) {
      const other = tensors.get(tensor.name)
      if (other) throw invalid(`${shard}: tensor ${tensor.name} is also in ${basename(other.file)}`)
      tensors.set(tensor.name, tensor)
    }
  }
  for (const [name, shard] of index) {
    const tensor = tensors.get(name)
    if (!tensor || basename(tensor.file) !== shard)
      throw invalid(`${INDEX}: tensor ${name} is not in ${shard}`)
  }
  return { folder, tensors, metadata }
}

/** The file of each tensor, as the index has it. */
async function readIndex(folder: string): Promise<ReadonlyMap<string, string>> {
  const json = await readJson(join(folder, INDEX))
  const map = isObject(json) ? json.weight_map : undefined
  if (!isObject(map)) throw invalid(`${INDEX}: expected an object weight_map`)
  return new Map(
    Object.entries(map).map(([name, file]) => {
      // A name with a folder in it could lead out of the model's own.
      if (typeof file !== 'string' || !/^[\w.-]+\.safetensors$/.test(file))
        throw invalid(
          `${INDEX}: tensor ${name}: ${JSON.stringify(file)} is not a safetensors file name`,
        )
      return [name, file]
    }),
  )
}

/**
 * Finds the tensors of a plan in a checkpoint. Throws EngineError `invalid_file` naming the tensor,
 * what was expected and what was found: missing, of another shape or of an unusable type, or not used.
 */
export function matchCheckpoint(plan: Plan, checkpoint: Checkpoint): readonly NativeTensor[] {
  const sources = plan.weights.flatMap((weight) => weight.sources)
  const found = new Map<string, NativeTensor>()
  const used = new Set<StoredTensor>()
  for (const source of sources) {
    const tensor = storedTensor(source, checkpoint)
    used.add(tensor)
    found.set(source.name, nativeTensor(source, tensor))
  }
  const unused = [...checkpoint.tensors.values()].filter(
    (tensor) => !used.has(tensor) && !isIgnored(tensor.name),
  )
  const [first] = unused
  if (first) {
    const are = unused.length > 1 ? ` and ${unused.length - 1} more are` : ' is'
    throw invalid(
      `${basename(first.file)}: tensor ${first.name} ${show(first.shape)}${are} not part of a ${plan.name} model with this config`,
    )
  }
  return [...found.values()]
}

function storedTensor({ name, shape }: WeightSource, { folder, tensors }: Checkpoint) {
  const tensor = tensors.get(name) ?? tensors.get(shortName(name))
  if (tensor) return tensor
  throw invalid(`${folder}: tensor ${name} ${show(shape)} is missing`)
}

/** What a model that was saved without its head calls a tensor: the first module is left out. */
export function shortName(name: string): string {
  return name.slice(name.indexOf('.') + 1)
}

/**
 * A tensor that is called `name` and has this shape in a plan. Throws EngineError `invalid_file` where it has another
 * shape, or a type that is not usable.
 */
export function nativeTensor(
  { name, shape }: Pick<WeightSource, 'name' | 'shape'>,
  tensor: StoredTensor,
): NativeTensor {
  const where = `${basename(tensor.file)}: tensor ${name}`
  if (!fits(tensor, shape))
    throw invalid(`${where}: expected shape ${show(shape)}, found ${show(tensor.shape)}`)
  const { file, offset, length, pairedHeads, encoding } = tensor
  const type = encoding ? tensor.dtype : USABLE_TYPES[tensor.dtype]
  if (!type)
    throw invalid(
      `${where}: element type ${tensor.dtype} is not usable; usable are ${Object.keys(USABLE_TYPES).join(', ')}`,
    )
  return {
    ...{ name, file, offset, length, type, shape },
    ...(pairedHeads && { pairedHeads }),
    ...(encoding && { encoding: nativeEncoding(encoding) }),
  }
}

/** Whether a tensor has this shape, the columns that fill up its last word apart. */
function fits({ shape, encoding }: StoredTensor, wanted: readonly number[]): boolean {
  const word = encoding?.columnsOfWord ?? 1
  const stored = wanted.map((size, i) =>
    i === wanted.length - 1 ? Math.ceil(size / word) * word : size,
  )
  return shape.join() === stored.join()
}

function nativeEncoding(encoding: Encoding): NativeEncoding {
  const { name, group, storedGroup = group, offset, parts = {} } = encoding
  const ranges = Object.entries(parts).map(([name, part]) => [name, rangeOf(part)] as const)
  return {
    name,
    group: storedGroup ?? 0,
    ...(offset !== undefined && { offset }),
    parts: Object.fromEntries(ranges),
  }
}

function rangeOf({ file, offset, length, dtype }: StoredTensor): FileRange {
  return { file, offset, length, type: dtype }
}

const USABLE_TYPES: Readonly<Record<string, StoredType>> = {
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
}

/**
 * Tensors that exporters leave in a checkpoint and that are no parameters (frequencies, causal masks,
 * scales of a cache of 8 bits, which has others here), or a copy of a tied one.
 */
function isIgnored(name: string): boolean {
  const buffer = /\.(rotary_emb\.inv_freq|(attn|attention)\.(bias|masked_bias))$/
  const cacheScale = /\.(self_attn|attn)\.([kv]_scale|kv_scale)$/
  return buffer.test(name) || cacheScale.test(name) || name === 'lm_head.weight'
}

async function describeMissing(folder: string): Promise<string> {
  const names = (await readdir(folder)).sort()
  const other = names.find((name) => /\.(bin|pt|pth|gguf|safetensors)$/.test(name))
  const hint = other ? ` (it holds ${other}; convert the model to safetensors)` : ''
  return `${folder} has neither ${SINGLE} nor ${INDEX}${hint}`
}

function show(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`
}

function invalid(message: string): EngineError {
  return new EngineError('invalid_file', message)
}
