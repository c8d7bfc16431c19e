import type { Fields } from '../models/fields.js'
import { encodeModules } from './encoded-tensors.js'
import { byModules, unsupported, type QuantizationScheme } from './quantization-scheme.js'

/**
 * Floats of 8 bits (e4m3). Their steps are not even: each group of 32 becomes codes of 8 bits anew,
 * off by at most 1/254 of the group's largest weight.
 */
export const FLOAT8 = { encoding: 'float8', bits: 8, group: 32, codes: 'weight' } as const

/** A scale for each square block of a matrix, or for the whole of it. */
export function float8(fields: Fields): QuantizationScheme {
  const format = fields.text('fmt', 'e4m3')
  if (format !== 'e4m3') throw unsupported(fields, `fmt "${format}"; supported is e4m3`)
  const block = fields.has('weight_block_size') ? squareSide(fields, 'weight_block_size') : null
  const form = {
    ...FLOAT8,
    block,
    unused: ['input_scale', 'activation_scale'],
  }
  const skipped = fields.strings('modules_to_not_convert')
  const { formOf } = byModules({ ...form, scales: INVERSE }, skipped)
  return {
    formOf,
    encode: ({ tensors }) => {
      const names = [...tensors.keys()]
      const scales = names.some((name) => name.endsWith(`.${INVERSE}`)) ? INVERSE : 'weight_scale'
      return encodeModules(tensors, () => ({ ...form, scales }))
    },
  }
}

/** What transformers calls scales; others leave `_inv` out where a scale is for the whole tensor. */
const INVERSE = 'weight_scale_inv'

/** The side of the square blocks that a field gives as [rows, columns]. */
export function squareSide(fields: Fields, name: string): number {
  const block = fields.numbers(name)
  const [side, columns] = block
  if (block.length === 2 && side === columns && Number.isSafeInteger(side) && side! > 0)
    return side!
  throw unsupported(fields, `${name} [${block.join(', ')}], not a square`)
}

/** A scale for each row. */
export function fbgemmFloat8(fields: Fields): QuantizationScheme {
  const form = { ...FLOAT8, block: null, scales: 'weight_scale', unused: ['input_scale_ub'] }
  return byModules(form, fields.strings('modules_to_not_convert'))
}
