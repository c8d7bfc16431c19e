import { EngineError } from '../errors.js'
import type { Fields } from '../models/fields.js'
import type { Checkpoint } from './checkpoint.js'
import { encodeModules, type Form, type StoredForm, type Tensors } from './encoded-tensors.js'

/** What a quantization_config says of a checkpoint's matrices. */
export interface QuantizationScheme {
  /** The codes of a module's matrix by the config alone; null where it is stored plain. */
  readonly formOf: (module: string) => Form | null
  /** The tensors, those that make up a quantised matrix put together. Throws EngineError `invalid_file`. */
  readonly encode: (
    checkpoint: Pick<Checkpoint, 'tensors' | 'metadata'>,
  ) => Tensors | Promise<Tensors>
}

/**
 * A scheme whose modules are all stored in one form, or as a function says. What is quantised is seen
 * by its tensors; `skipped` are those that are not, where there are none to look at.
 */
export function byModules(
  form: StoredForm | ((module: string) => StoredForm | null),
  skipped: readonly string[] = [],
): QuantizationScheme {
  const stored = typeof form === 'function' ? form : () => form
  return {
    formOf: (module) => (module === 'lm_head' || isIn(module, skipped) ? null : stored(module)),
    encode: ({ tensors }) => encodeModules(tensors, stored),
  }
}

export function bitsOf(fields: Fields, name: string, known: readonly (4 | 8)[]): 4 | 8 {
  const bits = fields.integer(name, { min: 1 })
  const found = known.find((size) => size === bits)
  if (found) return found
  throw unsupported(fields, `${name} ${bits}; supported are ${known.join(' and ')}`)
}

/** Groups must be made of whole groups of 16, 32, 64 or 128 columns. */
export function groupSize(fields: Fields): number | null {
  const group = fields.integer('group_size', { min: -1, fallback: -1 })
  if (group <= 0) return null
  if (group % 16 !== 0) throw unsupported(fields, `group_size ${group}, no multiple of 16`)
  return group
}

export function unsupported({ where }: Fields, what: string): EngineError {
  return new EngineError('unsupported_model', `${where}: ${what}`)
}

/** Names that transformers leaves alone are whole, or a part between dots. */
export function isIn(module: string, names: readonly string[]): boolean {
  return names.some((name) => module === name || `.${module}.`.includes(`.${name}.`))
}

/** Matched from the start of a name, as Python's `re.match`. */
export function parsePattern(fields: Fields, name: string, pattern: string): RegExp {
  try {
    return new RegExp(`^(?:${pattern})`)
  } catch (cause) {
    throw unsupported(fields, `${name}: ${(cause as Error).message}`)
  }
}
