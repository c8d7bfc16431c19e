import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildPlan, readModelConfig } from '../../lib/models/registry.js'
import type { Plan, Weight, WeightSource } from '../../lib/plan/ops.js'
import { locateModel } from '../../lib/weights/model-folder.js'
import { temporaryFolder, writeSafetensors, type TensorToWrite } from './files.js'
import { FIXTURES } from './models.js'

export const PREFIX = 'base_model.model.'
export const RANK = 4

/** Shapes of a module: columns of its input and of its output. */
export type Sizes = readonly [input: number, output: number]

/** The two matrices of a module, of zeros. */
export function pair(
  module: string,
  [input, output]: Sizes,
  { rank = RANK, dtype = 'F32' } = {},
): Record<string, TensorToWrite> {
  return {
    [`${PREFIX}${module}.lora_A.weight`]: { dtype, shape: [rank, input] },
    [`${PREFIX}${module}.lora_B.weight`]: { dtype, shape: [output, rank] },
  }
}

/** An adapter's folder; null: without its config, or without its tensors. */
export function adapterFolder(
  config: object | string | null,
  tensors: Readonly<Record<string, TensorToWrite>> | null,
): string {
  const folder = temporaryFolder()
  const json = typeof config === 'string' ? config : JSON.stringify({ ...PLAIN, ...config })
  if (config !== null) writeFileSync(join(folder, 'adapter_config.json'), json)
  if (tensors) writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors)
  return folder
}

const PLAIN = { peft_type: 'LORA', r: RANK, lora_alpha: 8, bias: 'none', use_dora: false }

/** The plan of a model of test/fixtures, whose linear ops may be adapted; other fields than its config's are given. */
export async function planOf(place: string, fields: object = {}): Promise<Plan> {
  const { config: json, configFile } = await locateModel(join(FIXTURES, place))
  const config = { ...(json as object), ...fields }
  const types = { weightType: 'float32', cacheType: 'float32', adapts: true } as const
  return buildPlan(readModelConfig(config, configFile), types)
}

/** The weights of a plan that adapters may change. */
export function adaptableOf({ ops }: Plan): readonly Weight[] {
  return ops.flatMap((op) => (op.kind === 'adapt' ? [op.weight] : []))
}

/** The elements that sources take of tensors, row after row, one at a time. */
export function gather(
  sources: readonly WeightSource[],
  columns: number,
  tensor: ArrayLike<number>,
): number[][] {
  return sources.flatMap(({ rows, view }) => {
    const { first, columnStep, loops } = view ?? {
      ...{ first: 0, columnStep: 1, loops: [{ count: rows, step: columns }] },
    }
    let starts = [first]
    for (const { count, step } of loops)
      starts = starts.flatMap((at) => Array.from({ length: count }, (_, i) => at + i * step))
    return starts.map((at) =>
      Array.from({ length: columns }, (_, c) => tensor[at + c * columnStep]!),
    )
  })
}
