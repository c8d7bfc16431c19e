import { EngineError } from '../errors.js'
import { PlanBuilder, type PlanTypes } from '../plan/builder.js'
import type { Plan } from '../plan/ops.js'
import { parseConfig, type ModelConfig } from './config.js'
import { Fields } from './fields.js'
import { llama } from './llama.js'

/** Records one model on a builder. */
export type ModelFamily = (g: PlanBuilder, config: ModelConfig) => void

const FAMILIES: ReadonlyMap<string, ModelFamily> = new Map([['LlamaForCausalLM', llama]])

/** The architectures that a config.json may name. */
export const supportedArchitectures: readonly string[] = [...FAMILIES.keys()]

/**
 * Reads a parsed config.json into its normal form. `file` is its name in errors.
 * Throws EngineError `unsupported_model` for an architecture that there is no family for, and
 * `invalid_file` for a field that is missing or of the wrong type.
 *
 * @example
 * const config = readModelConfig(JSON.parse(await readFile(file, 'utf8')), file)
 */
export function readModelConfig(json: unknown, file = 'config.json'): ModelConfig {
  familyOf(new Fields(json, file).strings('architectures')[0], file)
  return parseConfig(json, file)
}

/**
 * Records the plan of a model.
 *
 * @example
 * const plan = buildPlan(config, { weightType: config.storedType, cacheType: 'float32' })
 * process.stdout.write(printPlan(plan, { tokens: 2048, sequences: 256, samples: 256 }))
 */
export function buildPlan(config: ModelConfig, types: PlanTypes): Plan {
  const builder = new PlanBuilder({
    name: config.modelType,
    vocabSize: config.vocabSize,
    ...types,
  })
  familyOf(config.architecture, 'config.json')(builder, config)
  return builder.build()
}

function familyOf(architecture: string | undefined, file: string): ModelFamily {
  const family = FAMILIES.get(architecture ?? '')
  if (family) return family
  throw new EngineError(
    'unsupported_model',
    `${file}: architecture ${architecture ?? '(none)'} is not supported; supported are ${supportedArchitectures.join(', ')}`,
  )
}
