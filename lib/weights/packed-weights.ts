import { createHash } from 'node:crypto'
import { basename, join, resolve } from 'node:path'
import type { NativeTensor, WeightFile } from '../native/addon-types.js'
import type { Plan } from '../plan/ops.js'
import { version } from '../version.js'
import { fileState } from './files.js'

/**
 * The file of a folder that keeps a plan's packed weights. Its name follows from the model's files and
 * the forms of its weights, so that a model that changed takes the place of what it was before. What
 * tells the states of a model apart is in `source`: sizes and times of its files, what their headers
 * say of each tensor, and Octavo's version, as another one may read a file otherwise.
 */
export async function packedWeightFile(
  folder: string,
  model: string,
  plan: Plan,
  tensors: readonly NativeTensor[],
): Promise<WeightFile> {
  const files = await Promise.all([...filesOf(tensors)].map(fileState))
  const name = digest([files.map(({ path }) => path), plan.weights]).slice(0, 16)
  return {
    path: join(resolve(folder), `${basename(model)}-${name}.packed`),
    source: digest([version(), files, tensors]),
  }
}

function filesOf(tensors: readonly NativeTensor[]): ReadonlySet<string> {
  const ranges = tensors.flatMap((tensor) => [
    tensor,
    ...Object.values(tensor.encoding?.parts ?? {}),
  ])
  return new Set(ranges.map(({ file }) => file))
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex')
}
