import type { MatrixUse, WeightTypeOf } from '../plan/builder.js'
import type { WeightType } from '../plan/ops.js'
import type { Checkpoint } from './checkpoint.js'
import type { Form } from './encoded-tensors.js'
import type { ModelFolder } from './model-folder.js'
import { quantizationScheme } from './quantization.js'

/** The type of what no checkpoint quantises. */
export type PlainType = (use: MatrixUse) => WeightType

/** Sizes of groups that packed weights have. */
const GROUPS = [128, 64, 32, 16]

/**
 * Chooses each matrix' type: what is stored as codes stays codes, in the form that holds those of all
 * its tensors exactly, and the rest has the type `plain`. So have the heads of latent attention, whose
 * columns may be across the groups. Without the checkpoint's headers the model's config says what is
 * quantised.
 */
export function weightTypes(
  model: ModelFolder,
  checkpoint: Checkpoint | null,
  plain: PlainType,
): WeightTypeOf {
  const scheme = quantizationScheme(model)
  const formOf = (tensor: string): Form | null => {
    if (checkpoint) return checkpoint.tensors.get(tensor)?.encoding ?? null
    return scheme?.formOf(tensor.replace(/\.weight$/, '')) ?? null
  }
  return (tensors, use) => {
    const canBe = use === 'linear' || (use === 'table' && checkpoint !== null)
    const forms = canBe ? tensors.map(formOf) : []
    const coded = forms.length > 0 && forms.every((form) => form !== null)
    return coded ? typeOf(forms) : plain(use)
  }
}

function typeOf(forms: readonly Form[]): WeightType {
  const levels = forms.filter((form) => form.levels).length
  const mixed = levels > 0 && levels < forms.length
  const bits = mixed || forms.some((form) => form.bits === 8) ? 8 : 4
  const kind = levels > 0 && bits === 4 ? 'levels' : 'int'
  const groups = forms.map(({ group }) => group).filter((group) => group !== null)
  const group = GROUPS.find((size) => groups.every((stored) => stored % size === 0))
  return (groups.length === 0 ? `${kind}${bits}` : `${kind}${bits}/${group}`) as WeightType
}
