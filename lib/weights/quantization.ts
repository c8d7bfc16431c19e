import type { FieldNames } from '../models/family.js'
import { Fields, isObject } from '../models/fields.js'
import { bitsandbytes } from './bitsandbytes.js'
import { compressedTensors } from './compressed-tensors.js'
import { fbgemmFloat8, float8 } from './float8.js'
import { gptq } from './gptq.js'
import type { ModelFolder } from './model-folder.js'
import { mxfp4 } from './mxfp4.js'
import {
  bitsOf,
  byModules,
  groupSize,
  unsupported,
  type QuantizationScheme,
} from './quantization-scheme.js'
import { torchao } from './torchao.js'

const METHODS: Readonly<Record<string, (fields: Fields) => QuantizationScheme>> = {
  gptq,
  awq,
  'compressed-tensors': compressedTensors,
  fp8: float8,
  fbgemm_fp8: fbgemmFloat8,
  bitsandbytes,
  mxfp4,
  torchao,
}

/** What older writers call some fields. */
const NAMES: FieldNames = {
  names: { bits: ['bits', 'w_bit'], group_size: ['group_size', 'q_group_size'] },
}

/**
 * What the quantization_config of a model says; null where it has none. Throws EngineError
 * `unsupported_model` naming the method, or the part of it, that is not supported.
 */
export function quantizationScheme(model: ModelFolder): QuantizationScheme | null {
  const { config, configFile, quantizationFile } = model
  const found = isObject(config) ? (config.quantization_config ?? config.compression_config) : null
  if (found === null || found === undefined) return null
  const fields = new Fields(found, quantizationFile ?? `${configFile}: quantization_config`, NAMES)
  const method = fields.text('quant_method', 'unknown')
  if (Object.hasOwn(METHODS, method)) return METHODS[method]!(fields)
  throw unsupported(
    fields,
    `quant_method "${method}"; supported are ${Object.keys(METHODS).join(', ')}`,
  )
}

function awq(fields: Fields): QuantizationScheme {
  const version = fields.text('version', 'gemm').toLowerCase()
  if (version !== 'gemm') throw unsupported(fields, `version "${version}"; supported is gemm`)
  const bits = bitsOf(fields, 'bits', [4])
  const form = {
    encoding: `awq${bits}`,
    bits,
    group: groupSize(fields),
    codes: 'qweight',
    scales: 'scales',
    zeros: 'qzeros',
  }
  return byModules(form, fields.strings('modules_to_not_convert'))
}
