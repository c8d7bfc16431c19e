import { readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkText } from '../check.js'
import { EngineError } from '../errors.js'
import { isObject } from '../models/fields.js'
import { isCheckpointComplete } from './checkpoint.js'
import { holding, ifPresent, isFolder, readJson } from './files.js'
import type { GgufWish } from './gguf-choice.js'
import { configOfGguf } from './gguf-config.js'
import { findGguf, readGgufModel, readRopeFactors } from './gguf-model.js'
import type { GgufFile } from './gguf.js'
import { findHubModel, type LocateOptions } from './hub-model.js'
import { parseHubName } from './hub-name.js'
import { checkFormat, type ModelPlace } from './model-place.js'

/** Where a model lies, and its configs, parsed as JSON but otherwise unread. */
export interface ModelFolder {
  /** As the caller named it: `demo`, a path or a Hugging Face id. */
  readonly name: string
  /** Of the folder, or of the GGUF file. Absolute. */
  readonly path: string
  /** The header of a model that is a GGUF file. */
  readonly gguf: GgufFile | null
  /** The file that `config` comes from. */
  readonly configFile: string
  readonly config: unknown
  /** The file that its quantization_config comes from, where that is another one. */
  readonly quantizationFile?: string
  /** null where the model has none. */
  readonly generationConfig: unknown
}

const DEMO = fileURLToPath(new URL('../../models/demo', import.meta.url))

/**
 * Finds a model and reads its small files. `name` is `demo`, a folder, a GGUF file, or a Hugging Face
 * id (of a GGUF file organisation/name:TAG or organisation/name/FILE.gguf), which is looked for in the local
 * cache and then downloaded. A folder without safetensors may hold a GGUF file. Throws EngineError
 * `model_not_found` saying what was looked for and what to do, and `invalid_file` for a file that is no JSON
 * or no GGUF; TypeError or RangeError for a name that is no text, RangeError for files of another format than is asked for.
 *
 * @example
 * const folder = await locateModel('HuggingFaceTB/SmolLM2-135M-Instruct')
 * const config = readModelConfig(folder.config, folder.configFile)
 */
export async function locateModel(name: string, options: LocateOptions = {}): Promise<ModelFolder> {
  checkText('model', name)
  const { path, format } = await findModel(name, options)
  const model = await (format === 'gguf' ? readGgufFile(name, path) : readFolder(name, path))
  checkFormat(path, format, options.format)
  return model
}

async function findModel(name: string, options: LocateOptions): Promise<ModelPlace> {
  if (name === 'demo') return { path: DEMO, format: 'safetensors' }
  const path = resolve(name)
  const stats = await ifPresent(path, (path) => stat(path))
  if (stats?.isDirectory()) return findInFolder(path, null, options)
  if (stats && name.endsWith('.gguf')) return { path, format: 'gguf' }
  if (stats)
    throw notFound(`${name} is a file; expected a folder with config.json, or a .gguf file`)
  const hub = parseHubName(name)
  if (hub?.wish && (await isFolder(resolve(hub.id))))
    return findInFolder(resolve(hub.id), hub.wish, options)
  if (hub) return findHubModel(hub, options)
  throw notFound(
    `${name}: there is no ${name.endsWith('.gguf') ? 'file' : 'folder'} ${path}, and it is no Hugging Face id (organisation/name)`,
  )
}

/** Safetensors come first, unless a GGUF file is wished for or that format asked for. */
async function findInFolder(
  path: string,
  wish: GgufWish | null,
  { format }: LocateOptions,
): Promise<ModelPlace> {
  const wantsGguf = wish !== null || format === 'gguf'
  const file = !wantsGguf && (await isCheckpointComplete(path)) ? null : await findGguf(path, wish)
  return file === null ? { path, format: 'safetensors' } : { path: file, format: 'gguf' }
}

async function readFolder(name: string, path: string): Promise<ModelFolder> {
  const json = (file: string) => ifPresent(join(path, file), readJson)
  const configFile = join(path, 'config.json')
  const config = await json('config.json')
  if (config === null)
    throw notFound(`${name}: folder ${path} has no config.json${holding(await readdir(path))}`)
  const generationConfig = await json('generation_config.json')
  const model = { name, path, gguf: null, configFile, config, generationConfig }
  return { ...model, ...(await separateQuantization(path, config)) }
}

/** Where writers kept a quantization_config before config.json did, and their methods. */
const QUANTIZATION_FILES = { 'quantize_config.json': 'gptq', 'quant_config.json': 'awq' }

/** A config with the quantization_config of a file beside it, unless it has its own. */
async function separateQuantization(path: string, config: unknown) {
  if (!isObject(config) || config.quantization_config || config.compression_config) return {}
  for (const [file, method] of Object.entries(QUANTIZATION_FILES)) {
    const found = await ifPresent(join(path, file), readJson)
    if (!isObject(found)) continue
    const quantization = { quant_method: method, ...found }
    return {
      config: { ...config, quantization_config: quantization },
      quantizationFile: join(path, file),
    }
  }
  return {}
}

async function readGgufFile(name: string, path: string): Promise<ModelFolder> {
  const gguf = await readGgufModel(path)
  return { name, path, gguf, configFile: path, ...configOfGguf(gguf, await readRopeFactors(gguf)) }
}

function notFound(message: string): EngineError {
  return new EngineError('model_not_found', message)
}
