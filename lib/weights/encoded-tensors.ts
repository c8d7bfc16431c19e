import { basename } from 'node:path'
import { EngineError } from '../errors.js'
import type { QuantizationScheme, StoredForm } from './quantization.js'
import type { StoredTensor } from './safetensors.js'

/** How a tensor that is not stored as elements is read. */
export interface Encoding {
  /** csrc/decoders' name of it, such as `q4_1`. */
  readonly name: string
  /** What holds its numbers exactly: codes of so many bits, in groups of columns (null: whole rows). */
  readonly bits: 4 | 8
  readonly group: number | null
  /** Columns that share a stored scale where they are not `group`. */
  readonly storedGroup?: number | null
  /** Further tensors that it is made of. */
  readonly scales?: StoredTensor
  readonly zeros?: StoredTensor
  readonly groupOfColumn?: StoredTensor
}

type Tensors = ReadonlyMap<string, StoredTensor>

/**
 * Puts the tensors of quantised modules together: `X.qweight`, `X.scales` and so on become one
 * `X.weight` with an encoding. All others stay as they are. Throws EngineError `invalid_file`.
 */
export function encodeModules(tensors: Tensors, schemeOf: QuantizationScheme): Tensors {
  const encoded = new Map(tensors)
  for (const name of tensors.keys()) {
    const dot = name.lastIndexOf('.')
    const module = name.slice(0, dot)
    const form = schemeOf(module)
    if (name.slice(dot + 1) !== form?.scales) continue
    for (const part of partsOf(form)) encoded.delete(`${module}.${part}`)
    encoded.set(`${module}.weight`, encodedTensor(tensors, module, form))
  }
  return encoded
}

function partsOf({ codes, scales, zeros, groupOfColumn, unused = [] }: StoredForm): string[] {
  return [codes, scales, zeros, groupOfColumn, ...unused].filter((part) => part !== undefined)
}

function encodedTensor(tensors: Tensors, module: string, form: StoredForm): StoredTensor {
  const part = (name: string | undefined) => tensors.get(`${module}.${name}`)
  const codes = part(form.codes)
  const scales = part(form.scales)!
  if (!codes)
    throw new EngineError(
      'invalid_file',
      `${basename(scales.file)}: tensor ${scales.name} is there without ${module}.${form.codes}`,
    )
  const zeros = part(form.zeros)
  const groupOfColumn = part(form.groupOfColumn)
  const shape = shapeOf(codes, form)
  const within = (group: number | null) => (group !== null && group < shape[1]! ? group : null)
  const encoding: Encoding = {
    name: form.encoding,
    bits: form.bits,
    group: within(form.group),
    ...(form.block !== undefined && { storedGroup: form.block }),
    scales,
    ...(zeros && { zeros }),
    ...(groupOfColumn && { groupOfColumn }),
  }
  return { ...codes, name: `${module}.weight`, shape, encoding }
}

/** The matrix' own shape, from that of the words that its codes are packed in. */
function shapeOf({ shape, file, name }: StoredTensor, { encoding, bits }: StoredForm) {
  const [first, second] = shape
  if (shape.length !== 2 || first === undefined || second === undefined)
    throw new EngineError(
      'invalid_file',
      `${basename(file)}: tensor ${name}: expected a matrix, found [${shape.join(', ')}]`,
    )
  const perWord = 32 / bits
  if (encoding.startsWith('gptq')) return [second, first * perWord]
  if (encoding.startsWith('awq')) return [second * perWord, first]
  return encoding.startsWith('packed') ? [first, second * perWord] : [first, second]
}
