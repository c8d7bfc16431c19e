import { EngineError } from '../errors.js'
import { PlanBuilder, type PlanTypes } from '../plan/builder.js'
import type { Plan } from '../plan/ops.js'
import { parseConfig, type ModelConfig } from './config.js'
import { Fields } from './fields.js'
import type { FieldNames, ModelFamily } from './family.js'
import { textConfig } from './text-part.js'
import { apertus } from './apertus.js'
import { arcee } from './arcee.js'
import { bloom } from './bloom.js'
import { cohere } from './cohere.js'
import { cohere2 } from './cohere2.js'
import { deepseekV2, deepseekV3 } from './deepseek.js'
import { ernie45 } from './ernie4-5.js'
import { ernie45Moe } from './ernie4-5-moe.js'
import { exaone } from './exaone.js'
import { exaone4 } from './exaone4.js'
import { falcon } from './falcon.js'
import { gemma } from './gemma.js'
import { gemma2 } from './gemma2.js'
import { gemma3 } from './gemma3.js'
import { glm } from './glm.js'
import { glm4 } from './glm4.js'
import { gpt2 } from './gpt2.js'
import { gptj } from './gptj.js'
import { gptOss } from './gpt-oss.js'
import { gptNeox } from './gpt-neox.js'
import { granite } from './granite.js'
import { graniteHybrid } from './granite-hybrid.js'
import { graniteMoe } from './granite-moe.js'
import { helium } from './helium.js'
import { hunyuanDense } from './hunyuan-dense.js'
import { hunyuanMoe } from './hunyuan-moe.js'
import { lfm2 } from './lfm2.js'
import { lfm2Moe } from './lfm2-moe.js'
import { llama } from './llama.js'
import { ministral3 } from './ministral3.js'
import { mistral } from './mistral.js'
import { mixtral } from './mixtral.js'
import { mpt } from './mpt.js'
import { nemotron } from './nemotron.js'
import { olmo } from './olmo.js'
import { olmo2 } from './olmo2.js'
import { olmo3 } from './olmo3.js'
import { olmoe } from './olmoe.js'
import { opt } from './opt.js'
import { phi } from './phi.js'
import { phi3 } from './phi3.js'
import { qwen2 } from './qwen2.js'
import { qwen2Moe } from './qwen2-moe.js'
import { qwen3 } from './qwen3.js'
import { qwen3Moe } from './qwen3-moe.js'
import { seedOss } from './seed-oss.js'
import { smollm3 } from './smollm3.js'
import { stablelm } from './stablelm.js'
import { starcoder2 } from './starcoder2.js'

const FAMILIES: readonly ModelFamily[] = [
  apertus,
  arcee,
  bloom,
  cohere,
  cohere2,
  deepseekV2,
  deepseekV3,
  ernie45,
  ernie45Moe,
  exaone,
  exaone4,
  falcon,
  gemma,
  gemma2,
  gemma3,
  glm,
  glm4,
  gpt2,
  gptj,
  gptOss,
  gptNeox,
  granite,
  graniteHybrid,
  graniteMoe,
  helium,
  hunyuanDense,
  hunyuanMoe,
  lfm2,
  lfm2Moe,
  llama,
  ministral3,
  mistral,
  mixtral,
  mpt,
  nemotron,
  olmo,
  olmo2,
  olmo3,
  olmoe,
  opt,
  phi,
  phi3,
  qwen2,
  qwen2Moe,
  qwen3,
  qwen3Moe,
  seedOss,
  smollm3,
  stablelm,
  starcoder2,
]

const BY_ARCHITECTURE: ReadonlyMap<string, ModelFamily> = new Map(
  FAMILIES.flatMap((family) => family.architectures.map((name) => [name, family])),
)

/** All families, in the order of their names. */
export const modelFamilies: readonly ModelFamily[] = FAMILIES

/** The architectures that a config.json may name. */
const supportedArchitectures: readonly string[] = [...BY_ARCHITECTURE.keys()]

/**
 * Reads a parsed config.json into its normal form. `file` is its name in errors. Throws EngineError `unsupported_model` for an architecture that there is no family for, and
 * `invalid_file` for a field that is missing or of the wrong type.
 *
 * @example
 * const config = readModelConfig(JSON.parse(await readFile(file, 'utf8')), file)
 */
export function readModelConfig(json: unknown, file = 'config.json'): ModelConfig {
  const config = textConfig(json)
  const family = familyOf(new Fields(config, file).strings('architectures')[0], file)
  return parseConfig(config, file, family)
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
  familyOf(config.architecture, 'config.json').record(builder, config)
  return builder.build()
}

/** How the config.json of an architecture differs in its names from Llama's. */
export function fieldNamesOf(architecture: string): FieldNames {
  return familyOf(architecture, 'config.json')
}

function familyOf(architecture: string | undefined, file: string): ModelFamily {
  const family = BY_ARCHITECTURE.get(architecture ?? '')
  if (family) return family
  throw new EngineError(
    'unsupported_model',
    `${file}: architecture ${architecture ?? '(none)'} is not supported; supported are ${supportedArchitectures.join(', ')}`,
  )
}
