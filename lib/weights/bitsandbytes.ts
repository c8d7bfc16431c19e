import { basename } from 'node:path'
import { Fields } from '../models/fields.js'
import { encodeModules, invalidTensor, partOf, type Tensors } from './encoded-tensors.js'
import { readRange } from './files.js'
import { byModules, unsupported, type QuantizationScheme } from './quantization-scheme.js'
import type { StoredTensor } from './safetensors.js'

/** Bytes with a scale a row, or 4 bits that choose one of 16 uneven levels. */
export function bitsandbytes(fields: Fields): QuantizationScheme {
  const skipped = fields.strings('llm_int8_skip_modules')
  if (fields.flag('load_in_8bit', false)) return byModules(BYTES, skipped)
  if (!fields.flag('load_in_4bit', false))
    throw unsupported(fields, 'neither load_in_8bit nor load_in_4bit is on')
  const { formOf } = byModules({ ...BYTES, bits: 4, group: GROUP, levels: true }, skipped)
  return { formOf, encode: ({ tensors }) => encodeLevels(tensors) }
}

const BYTES = {
  encoding: 'scb_int8',
  bits: 8,
  group: null,
  codes: 'weight',
  scales: 'SCB',
  unused: ['weight_format'],
} as const

/** Numbers that share a scale unless a tensor says otherwise. */
const GROUP = 64
const NESTED_GROUP = 256
const STATE = /^(.+)\.quant_state\.bitsandbytes__(nf4|fp4)$/
/** What else belongs to `X.weight`, by the decoder's names; the last two where scales are bytes. */
const PARTS = {
  scales: 'absmax',
  levels: 'quant_map',
  scaleScales: 'nested_absmax',
  scaleLevels: 'nested_quant_map',
}

async function encodeLevels(tensors: Tensors): Promise<Tensors> {
  const encoded = new Map(encodeModules(tensors, () => null))
  for (const [name, state] of tensors) {
    const weight = STATE.exec(name)?.[1]
    if (weight === undefined) continue
    const codes = partOf(tensors, name, weight)
    const parts = Object.entries(PARTS).flatMap(([part, ending]) => {
      const tensor = tensors.get(`${weight}.${ending}`)
      encoded.delete(`${weight}.${ending}`)
      return tensor ? [[part, tensor] as const] : []
    })
    encoded.delete(name)
    encoded.set(weight, encodedTensor(codes, await readState(state), Object.fromEntries(parts)))
  }
  return encoded
}

/** What the quantiser left as JSON in a tensor of bytes. */
async function readState(state: StoredTensor): Promise<Fields> {
  const { file, offset, length, name } = state
  const bytes = await readRange(file, offset, Math.min(length, MOST_STATE_BYTES))
  try {
    return new Fields(JSON.parse(bytes.toString()), `${basename(file)}: tensor ${name}`)
  } catch (error) {
    if (error instanceof SyntaxError) throw invalidTensor(state, `not JSON: ${error.message}`)
    throw error
  }
}

const MOST_STATE_BYTES = 4096

function encodedTensor(
  codes: StoredTensor,
  state: Fields,
  parts: Readonly<Record<string, StoredTensor>>,
): StoredTensor {
  const shape = state.numbers('shape')
  const size = state.integer('blocksize', { min: 1, fallback: GROUP })
  const columns = shape.at(-1) ?? 0
  if (shape.length !== 2 || !shape.every((length) => Number.isSafeInteger(length) && length > 0))
    throw invalidTensor(codes, `expected the shape of a matrix, found [${shape.join(', ')}]`)
  if ('scaleScales' in parts) state.integer('nested_blocksize', NESTED)
  // Scales are shared along the whole matrix: where rows are no multiple, groups of a row are smaller.
  const common = greatestCommonDivisor(columns, size)
  return {
    ...{ ...codes, shape },
    encoding: {
      ...(common % LEAST_GROUP === 0
        ? { name: 'levels4', bits: 4, group: common, levels: true }
        : { name: 'levels4', bits: 8, group: LEAST_GROUP }),
      ...{ storedGroup: size, offset: state.number('nested_offset', 0), parts },
    },
  }
}

const LEAST_GROUP = 16
const NESTED = { min: NESTED_GROUP, max: NESTED_GROUP, fallback: NESTED_GROUP }

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}
