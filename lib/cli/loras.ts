import { basename, resolve } from 'node:path'
import type { Command } from 'commander'
import {
  checkArray,
  checkText,
  isRecord,
  outOfRange,
  wrongType,
  type RawOptions,
} from '../check.js'
import { resolveEngineOptions, type EngineOptions, type LoadOptions } from '../engine/config.js'
import { LLMEngine } from '../engine/llm-engine.js'
import type { LoraRequest } from '../engine/lora-request.js'
import { EngineError } from '../errors.js'
import { checkAdapterName, checkBaseModel } from '../openai/served-models.js'
import { findAdapter } from '../weights/locate-adapter.js'
import { type FlagTable } from './flags.js'

/** Flags of commands that answer requests by the model that each names. */
export const SERVING_FLAGS: FlagTable<'servedModelName' | 'loraModules'> = {
  servedModelName: {
    kind: 'texts',
    value: 'name',
    help: 'name that requests may give as their model; repeatable',
  },
  loraModules: {
    kind: 'texts',
    value: 'name=path...',
    help: 'adapters (LoRA) that requests may give as their model, by a folder, a .gguf file or a Hugging Face id',
  },
}

interface Served {
  readonly model: string
  readonly names: readonly string[] | undefined
}

const EXPECTED = 'name=path or {"name", "path", "base_model_name"}'

/**
 * The adapters of `--lora-modules` or a file: each `name=path`, or an object that may be JSON. Throws TypeError or
 * RangeError that begins with `loraModules`.
 */
export function readLoraModules(value: unknown, served: Served): readonly LoraRequest[] {
  const { model, names = [model] } = served
  const loras = checkArray('loraModules', value ?? [], (at, module): LoraRequest => {
    const { name, path, base_model_name: base, ...others } = fieldsOf(at, module)
    const [other] = Object.keys(others)
    if (other !== undefined) throw new TypeError(`${at}: expected ${EXPECTED}, found "${other}"`)
    checkBaseModel(`${at}.base_model_name`, base, [...names, model])
    return {
      loraName: checkAdapterName(`${at}.name`, name, names),
      loraPath: checkText(`${at}.path`, path),
    }
  })
  const twice = loras.find(({ loraName }, i) =>
    loras.slice(0, i).some((other) => other.loraName === loraName),
  )
  if (twice !== undefined)
    throw new RangeError(`loraModules: expected each name once, found ${twice.loraName} twice`)
  return loras
}

function fieldsOf(at: string, module: unknown): RawOptions {
  if (isRecord(module)) return module
  if (typeof module !== 'string') throw wrongType(at, EXPECTED, module)
  if (module.trimStart().startsWith('{')) return parse(at, module)
  const [, name, path] = /^([^=]+)=(.+)$/s.exec(module) ?? []
  if (name === undefined) throw outOfRange(at, EXPECTED, module)
  return { name, path }
}

function parse(at: string, json: string): RawOptions {
  try {
    return JSON.parse(json) as RawOptions
  } catch {
    throw outOfRange(at, EXPECTED, json)
  }
}

/** Adds `--lora`, the adapter that a command computes with. */
export function addLoraFlag(command: Command): Command {
  return command.option(
    '--lora <adapter>',
    'compute with an adapter: a folder, a .gguf file or a Hugging Face id',
  )
}

/** The flags of a command that computes with one adapter at most: no memory is kept for others. */
export function forOneLora<T extends { readonly lora?: string }>(flags: T): T {
  return flags.lora === undefined ? flags : { maxLoras: 1, ...flags }
}

/** The adapter of `--lora`; none without it. */
export function lorasOf(path: string | undefined): readonly LoraRequest[] {
  return path === undefined ? [] : [{ loraName: basename(resolve(path)), loraPath: path }]
}

/** Options of an engine that serves such adapters. */
export function withLoras<T extends EngineOptions>(options: T, loras: readonly LoraRequest[]): T {
  return loras.length === 0 ? options : { ...options, enableLora: true }
}

/**
 * Loads a model and adapters, of any rank unless the options bound it. Adapters are looked for first, so that one that is
 * not there is told at once.
 */
export async function loadWithLoras(
  model: string,
  given: LoadOptions,
  loras: readonly LoraRequest[],
): Promise<LLMEngine> {
  if (loras.length === 0) return LLMEngine.load(model, given)
  const options = withLoras(given, loras)
  const { lora } = resolveEngineOptions(options)
  const ranks = await Promise.all(loras.map((each) => naming(each, () => rankOf(each, options))))
  const maxLoraRank = Math.max(lora!.maxLoraRank, ...ranks)
  const engine = await LLMEngine.load(model, { maxLoraRank, ...options })
  try {
    for (const each of loras) await naming(each, () => engine.loras.add(each))
  } catch (error) {
    await engine.close()
    throw error
  }
  return engine
}

async function rankOf({ loraPath }: LoraRequest, { localFilesOnly, signal }: LoadOptions) {
  const options = { signal, ...(localFilesOnly && { download: false }) }
  return (await findAdapter(loraPath!, options)).rank
}

/** What is wrong with an adapter is told of it, not of the model. */
async function naming<T>({ loraName }: LoraRequest, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    throw new Error(`adapter ${loraName}: ${error.message}`, { cause: error })
  }
}
