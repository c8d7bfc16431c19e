import type { WeightTypeOf } from '../plan/builder.js'
import type { WeightType } from '../plan/ops.js'
import type { Checkpoint } from './checkpoint.js'
import type { ModelFolder } from './model-folder.js'
import { quantizationScheme } from './quantization.js'

/** Codes of so many bits in groups of columns; null: a group is a whole row. */
export interface Form {
  readonly bits: 4 | 8
  readonly group: number | null
}

/** Sizes of groups that packed weights have. */
const GROUPS = [128, 64, 32, 16]

/**
 * Chooses each matrix' type: what is stored as codes stays codes, in the form that holds those of all
 * its tensors exactly, and the rest has the type `plain`. Without the checkpoint's headers the model's
 * config says what is quantised.
 */
export function weightTypes(
  model: ModelFolder,
  checkpoint: Checkpoint | null,
  plain: WeightType | WeightTypeOf,
): WeightTypeOf {
  const scheme = quantizationScheme(model)
  const formOf = (tensor: string): Form | null => {
    if (checkpoint) return checkpoint.tensors.get(tensor)?.encoding ?? null
    return scheme?.(tensor.replace(/\.weight$/, '')) ?? null
  }
  return (tensors, use) => {
    const forms = tensors.map(formOf)
    const coded = forms.every((form) => form !== null) && (checkpoint !== null || use === 'linear')
    if (coded) return typeOf(forms)
    return typeof plain === 'function' ? plain(tensors, use) : plain
  }
}

function typeOf(forms: readonly Form[]): WeightType {
  const bits = forms.some((form) => form.bits === 8) ? 8 : 4
  const groups = forms.map(({ group }) => group).filter((group) => group !== null)
  const group = GROUPS.find((size) => groups.every((stored) => stored % size === 0))
  return (groups.length === 0 ? `int${bits}` : `int${bits}/${group}`) as WeightType
}
