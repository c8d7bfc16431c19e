import { basename } from 'node:path'
import { Fields } from '../models/fields.js'
import type { Checkpoint } from './checkpoint.js'
import { type Encoding, invalidTensor, partOf, type Tensors } from './encoded-tensors.js'
import { FLOAT8, squareSide } from './float8.js'
import { type QuantizationScheme, unsupported } from './quantization-scheme.js'
import type { StoredTensor } from './safetensors.js'

/**
 * torchao's tensors in safetensors files: `X.weight` lies in `X._weight_qdata`, `X._weight_scale` and
 * `X._weight_zero_point`, and the files' metadata tell its class and groups.
 */
export function torchao(): QuantizationScheme {
  return { formOf: () => null, encode }
}

const CLASSES: Readonly<Record<string, (tensor: TorchaoTensor) => Encoding>> = {
  Int4Tensor: ({ shape, data }) => ({
    ...{ name: 'torchao4', bits: 4, group: groupOf(data, shape) },
  }),
  Int8Tensor: ({ shape, data }) => ({ name: 'int8', bits: 8, group: groupOf(data, shape) }),
  IntxUnpackedToInt8Tensor: ({ shape, data }) => {
    const bits = bitsOf(data)
    const group = groupOf(data, shape)
    return bits <= 4 ? { name: 'int8_of_4', bits: 4, group } : { name: 'int8', bits: 8, group }
  },
  Float8Tensor: ({ shape, data }) => {
    const { encoding: name, bits, group } = FLOAT8
    const [rows = 0, columns = 0] = data.numbers('block_size')
    const isWholeRow = columns === shape[1] && (rows === 1 || rows === shape[0])
    return { name, bits, group, storedGroup: isWholeRow ? null : squareSide(data, 'block_size') }
  },
}

interface TorchaoTensor {
  readonly shape: readonly number[]
  /** What the class keeps beside its tensors. */
  readonly data: Fields
}

/** Tensors of a class, in the order of its constructor; the others are of activations. */
const PARTS = { scales: 'scale', zeros: 'zero_point' }
const UNUSED = ['act_quant_scale', 'act_quant_zero_point']

function encode({ tensors, metadata }: Pick<Checkpoint, 'tensors' | 'metadata'>): Tensors {
  const encoded = new Map(tensors)
  for (const [name, codes] of tensors) {
    const [, module, tensor] = /^(.+)\._(\w+)_qdata$/.exec(name) ?? []
    if (module === undefined) continue
    const weight = `${module}.${tensor}`
    const partName = (part: string) => `${module}._${tensor}_${part}`
    const parts = Object.entries(PARTS).flatMap(([part, ending]) => {
      const found = tensors.get(partName(ending))
      encoded.delete(partName(ending))
      return found ? [[part, found] as const] : []
    })
    for (const ending of UNUSED) encoded.delete(partName(ending))
    encoded.delete(name)
    partOf(tensors, name, partName('scale'))
    encoded.set(weight, encodedTensor(weight, codes, Object.fromEntries(parts), metadata))
  }
  return encoded
}

function encodedTensor(
  name: string,
  codes: StoredTensor,
  parts: Readonly<Record<string, StoredTensor>>,
  metadata: ReadonlyMap<string, string>,
): StoredTensor {
  const fields = metadataOf(codes, metadata.get(name))
  const type = fields.text('_type')
  if (!Object.hasOwn(CLASSES, type))
    throw unsupported(fields, `"${type}"; supported are ${Object.keys(CLASSES).join(', ')}`)
  const data = fields.object('_data')
  const [rows = 0, columns = 0] = codes.shape
  const shape = [rows, type === 'Int4Tensor' ? 2 * columns : columns]
  if (codes.shape.length !== 2)
    throw invalidTensor(codes, `expected a matrix, found [${codes.shape.join(', ')}]`)
  return { ...codes, name, shape, encoding: { ...CLASSES[type]!({ shape, data }), parts } }
}

function metadataOf(codes: StoredTensor, text: string | undefined): Fields {
  if (text === undefined) throw invalidTensor(codes, 'the metadata do not say what it is')
  try {
    return new Fields(JSON.parse(text), `${basename(codes.file)}: metadata of ${codes.name}`)
  } catch (error) {
    if (error instanceof SyntaxError) throw invalidTensor(codes, `metadata: ${error.message}`)
    throw error
  }
}

/** Columns that share a scale. A scale for the whole tensor serves every row. */
function groupOf(data: Fields, shape: readonly number[]): number | null {
  const [rows = 0, columns = 0] = data.numbers('block_size')
  if (columns === shape[1] || columns === -1) return null
  if (rows === 1 && columns > 0 && columns % 16 === 0) return columns
  throw unsupported(data, `block_size [${rows}, ${columns}], no groups of 16 columns or more`)
}

/** Of a type such as `int4`. */
function bitsOf(data: Fields): number {
  const type = data.object('target_dtype').text('_data')
  const bits = Number(/^int(\d)$/.exec(type)?.[1])
  if (bits >= 1 && bits <= 8) return bits
  throw unsupported(data, `target_dtype ${type}`)
}
