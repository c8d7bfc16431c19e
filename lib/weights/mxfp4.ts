import type { Fields } from '../models/fields.js'
import { invalidTensor, partOf, type Tensors } from './encoded-tensors.js'
import { isIn, type QuantizationScheme } from './quantization-scheme.js'
import type { StoredTensor } from './safetensors.js'

/** Columns that share a power of two. */
const GROUP = 32
const BLOCKS = '_blocks'
const SCALES = '_scales'

/**
 * Floats of 4 bits, as GPT-OSS has its experts: `X_blocks` [experts, rows, columns / 32, 16] and
 * `X_scales` [experts, rows, columns / 32] become one X [experts, rows, columns].
 */
export function mxfp4(fields: Fields): QuantizationScheme {
  const plain = fields.strings('modules_to_not_convert')
  const isExperts = (module: string) => /\.experts\.\w+_proj$/.test(module) && !isIn(module, plain)
  return {
    formOf: (module) => (isExperts(module) ? { bits: 4, group: GROUP, levels: true } : null),
    encode: ({ tensors }) => encodeBlocks(tensors),
  }
}

function encodeBlocks(tensors: Tensors): Tensors {
  const encoded = new Map(tensors)
  for (const [name, blocks] of tensors) {
    if (!name.endsWith(BLOCKS)) continue
    const whole = name.slice(0, -BLOCKS.length)
    const scales = partOf(tensors, name, whole + SCALES)
    encoded.delete(name)
    encoded.delete(whole + SCALES)
    encoded.set(whole, encodedTensor(whole, blocks, scales))
  }
  return encoded
}

/** Rows of bytes, however the writer grouped them; the scales tell the matrices' shape. */
function encodedTensor(name: string, blocks: StoredTensor, scales: StoredTensor): StoredTensor {
  const shape = scales.shape.map((size, i, { length }) => (i === length - 1 ? size * GROUP : size))
  if (shape.length < 2 || blocks.dtype !== 'U8' || scales.dtype !== 'U8')
    throw invalidTensor(blocks, `expected bytes, and scales [${shape.join(', ')}] of bytes`)
  return {
    ...{ ...blocks, name, shape },
    encoding: {
      ...{ name: 'mxfp4_pairs', bits: 4, group: GROUP, levels: true },
      parts: { scales: { ...scales, dtype: 'F8_E8M0' } },
    },
  }
}
