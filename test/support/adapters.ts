import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder, writeSafetensors, type TensorToWrite } from './files.js'

export const PREFIX = 'base_model.model.'
const RANK = 4

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
