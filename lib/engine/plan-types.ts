import { EngineError } from '../errors.js'
import type { ModelConfig } from '../models/config.js'
import { cachesLatents } from '../models/latent-attention.js'
import type { MatrixUse, PlanTypes } from '../plan/builder.js'
import type { StoredType, WeightType } from '../plan/ops.js'
import type { Checkpoint } from '../weights/checkpoint.js'
import type { ModelFolder } from '../weights/model-folder.js'
import { quantizationScheme } from '../weights/quantization.js'
import { type PlainType, weightTypes } from '../weights/weight-types.js'
import type { EngineConfig } from './config.js'
import type { Device } from './device.js'

/** A model that was found and understood; no weight is read yet. */
export interface FoundModel {
  readonly folder: ModelFolder
  /** null where weights are made up, or not there. */
  readonly checkpoint: Checkpoint | null
  readonly model: ModelConfig
  readonly device: Device
  /** Those of this CPU, best first; none where it is another machine that will compute. */
  readonly instructionSets?: readonly string[]
}

/** Instruction sets that multiply pairs of 16-bit integers faster than numbers in bfloat16 (docs/decisions.md). */
const MULTIPLY_WORDS: ReadonlySet<string> = new Set(['avx512'])

/** Element types of a model's weights and cache under these options. */
export function planTypes(config: EngineConfig, found: FoundModel): PlanTypes {
  const { folder, checkpoint, model, device } = found
  const cpu = device === 'cpu'
  if (!cpu && config.matmulPrecision !== 'auto')
    throw new EngineError(
      'not_supported',
      `matmulPrecision '${config.matmulPrecision}' is not supported on ${device}: it computes in its dtype`,
    )
  if (!cpu && config.packedWeightsCache !== null)
    throw new EngineError(
      'not_supported',
      `packedWeightsCache is not supported on ${device}: weights are packed on the CPU only`,
    )
  // The tensor cores of a GPU multiply keys with queries of the same type.
  const stored = config.dtype ?? model.storedType
  const ownType = cpu ? cpuCacheType(config, found, stored) : stored
  const cacheType = config.kvCacheDtype ?? ownType
  const exact = config.matmulPrecision === 'auto' && cacheType === 'float32'
  const precision = exact ? 'float32' : config.matmulPrecision
  const words =
    precision === 'int16' ||
    (precision === 'auto' && cpu && stored === 'bfloat16' && multipliesWords(config, found))
  return {
    addsOffsets: folder.gguf === null,
    weightType: weightTypes(folder, checkpoint, plainType(config, stored, words)),
    cacheType,
    roundsInputs: cpu && precision !== 'float32',
    pools: true,
    adapts: config.lora !== null,
  }
}

/**
 * bfloat16 where matrix products round their inputs too, to it or to codes, and attention multiplies its pairs, which
 * it does not of latent rows (docs/decisions.md).
 */
function cpuCacheType(
  { matmulPrecision, quantization }: EngineConfig,
  { folder, checkpoint, model }: FoundModel,
  stored: StoredType,
): StoredType {
  if (cachesLatents(model)) return 'float16'
  const tensors = checkpoint ? [...checkpoint.tensors.values()] : []
  const coded =
    quantization !== null ||
    quantizationScheme(folder) !== null ||
    tensors.some(({ encoding }) => encoding !== undefined)
  const rounds = matmulPrecision !== 'float32' && (coded || stored === 'bfloat16')
  return rounds ? 'bfloat16' : 'float16'
}

function multipliesWords({ isa }: EngineConfig, { instructionSets = [] }: FoundModel): boolean {
  return MULTIPLY_WORDS.has(isa === 'auto' ? (instructionSets[0] ?? '') : isa)
}

/** Of matrices that the checkpoint does not quantise. */
function plainType({ quantization }: EngineConfig, stored: StoredType, words: boolean): PlainType {
  const typed = (linear: WeightType, table: WeightType) => (use: MatrixUse) =>
    ({ linear, table, head: stored })[use]
  switch (quantization) {
    case null:
      return words ? typed('int16', 'int16') : () => stored
    case 'int8':
      return typed('int8/32', 'int8/32')
    case 'int4':
      return typed('int4/32', 'int8/32')
    default:
      return quantization satisfies never
  }
}
