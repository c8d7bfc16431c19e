import { EngineError } from '../errors.js'
import { Fields, isObject } from '../models/fields.js'
import { compressedTensors } from './compressed-tensors.js'
import { fbgemmFloat8, float8 } from './float8.js'
import type { ModelFolder } from './model-folder.js'

/** How a module of a quantised checkpoint are stored, module by module. */
export interface StoredForm {
  /** csrc/decoders' name of it. */
  readonly encoding: string
  readonly bits: 4 | 8
  /** Columns that share a scale; null: the whole row. */
  readonly group: number | null
  /** Side of the blocks that share a stored scale, where codes have other groups; null: there are none. */
  readonly block?: number | null
  /** Names of the tensors in a module, without the module's own. */
  readonly codes: string
  readonly scales: string
  readonly zeros?: string
  readonly groupOfColumn?: string
  /** Tensors that are of no use here: what they say is known otherwise. */
  readonly unused?: readonly string[]
}

/** The form of a module's weight; null where it is stored plain. */
export type QuantizationScheme = (module: string) => StoredForm | null

const METHODS: Readonly<Record<string, (fields: Fields) => QuantizationScheme>> = {
  gptq,
  awq,
  'compressed-tensors': compressedTensors,
  fp8: float8,
  fbgemm_fp8: fbgemmFloat8,
  bitsandbytes,
}

/**
 * What the quantization_config of a model says; null where it has none. Throws EngineError
 * `unsupported_model` naming the method, or the part of it, that is not supported.
 */
export function quantizationScheme({ config, configFile }: ModelFolder): QuantizationScheme | null {
  const found = isObject(config) ? (config.quantization_config ?? config.compression_config) : null
  if (found === null || found === undefined) return null
  const fields = new Fields(found, `${configFile}: quantization_config`)
  const method = fields.text('quant_method', 'unknown')
  if (Object.hasOwn(METHODS, method)) return METHODS[method]!(fields)
  throw unsupported(
    fields,
    `quant_method "${method}"; supported are ${Object.keys(METHODS).join(', ')}`,
  )
}

/** 4 and 8 bits, in any order of columns; `group_size` −1 is a whole row. */
function gptq(fields: Fields): QuantizationScheme {
  const format = fields.text('checkpoint_format', 'gptq')
  if (format !== 'gptq' && format !== 'gptq_v2')
    throw unsupported(fields, `checkpoint_format "${format}"; supported are gptq and gptq_v2`)
  const bits = bitsOf(fields, 'bits', [4, 8])
  const form: StoredForm = {
    encoding: format === 'gptq' ? `gptq${bits}` : `gptq_v2_${bits}`,
    bits,
    group: groupSize(fields),
    codes: 'qweight',
    scales: 'scales',
    zeros: 'qzeros',
    groupOfColumn: 'g_idx',
  }
  const quantizesHead = fields.flag('lm_head', false)
  return (module) => (isHead(module) && !quantizesHead ? null : form)
}

function awq(fields: Fields): QuantizationScheme {
  const version = fields.text('version', 'gemm').toLowerCase()
  if (version !== 'gemm') throw unsupported(fields, `version "${version}"; supported is gemm`)
  const bits = bitsOf(fields, 'bits', [4])
  const form: StoredForm = {
    encoding: `awq${bits}`,
    bits,
    group: groupSize(fields),
    codes: 'qweight',
    scales: 'scales',
    zeros: 'qzeros',
  }
  const plain = fields.strings('modules_to_not_convert')
  return (module) => (isHead(module) || isIn(module, plain) ? null : form)
}

/** Bytes with a scale a row; their 4-bit forms are tables of uneven steps. */
function bitsandbytes(fields: Fields): QuantizationScheme {
  if (!fields.flag('load_in_8bit', false))
    throw unsupported(fields, 'only load_in_8bit is supported')
  const form: StoredForm = {
    encoding: 'scb_int8',
    bits: 8,
    group: null,
    codes: 'weight',
    scales: 'SCB',
    unused: ['weight_format'],
  }
  const plain = fields.strings('llm_int8_skip_modules')
  return (module) => (isHead(module) || isIn(module, plain) ? null : form)
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

export function isHead(module: string): boolean {
  return module === 'lm_head'
}

/** Names that transformers leaves alone are whole, or a part between dots. */
export function isIn(module: string, names: readonly string[]): boolean {
  return names.some((name) => module === name || `.${module}.`.includes(`.${name}.`))
}
