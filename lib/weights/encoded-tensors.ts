import { basename } from 'node:path'
import { EngineError } from '../errors.js'
import type { StoredTensor } from './safetensors.js'

/** Codes of so many bits in groups of columns; null: a group is a whole row. */
export interface Form {
  readonly bits: 4 | 8
  readonly group: number | null
  /** Whether codes of 4 bits choose uneven levels. */
  readonly levels?: boolean
}

/** How a tensor that is not stored as elements is read. `bits` and `group` hold its numbers exactly, or nearest. */
export interface Encoding extends Form {
  /** csrc/decoders' name of it, such as `q4_1`. */
  readonly name: string
  /** Columns that share a stored scale where they are not `group`. */
  readonly storedGroup?: number | null
  /** Columns that are stored together: a row whose length they do not divide is padded. */
  readonly columnsOfWord?: number
  /** Added to each scale. */
  readonly offset?: number
  /** Further tensors that it is made of, by the names of csrc/decoders/stored_tensor.h. */
  readonly parts?: Readonly<Record<string, StoredTensor>>
}

/** How the matrix of a quantised module is stored. */
export interface StoredForm extends Form {
  /** csrc/decoders' name of it. */
  readonly encoding: string
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

export type Tensors = ReadonlyMap<string, StoredTensor>

/**
 * Puts the tensors of quantised modules together: `X.qweight`, `X.scales` and so on become one
 * `X.weight` with an encoding. A module without scales stays as it is. Throws EngineError `invalid_file`.
 */
export function encodeModules(
  tensors: Tensors,
  formOf: (module: string) => StoredForm | null,
): Tensors {
  const encoded = new Map(tensors)
  for (const name of tensors.keys()) {
    const dot = name.lastIndexOf('.')
    const module = name.slice(0, dot)
    const form = formOf(module)
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
  const { encoding, bits, block } = form
  const codes = partOf(tensors, `${module}.${form.scales}`, `${module}.${form.codes}`)
  const parts = Object.entries({
    scales: form.scales,
    zeros: form.zeros,
    groupOfColumn: form.groupOfColumn,
  }).flatMap(([name, part]) => {
    const tensor = tensors.get(`${module}.${part}`)
    return tensor ? [[name, tensor] as const] : []
  })
  const shape = shapeOf(codes, form)
  return {
    ...{ ...codes, name: `${module}.weight`, shape },
    encoding: {
      name: encoding,
      bits,
      group: form.group !== null && form.group < shape[1] ? form.group : null,
      ...(block !== undefined && { storedGroup: block }),
      ...(encoding.startsWith('packed') && { columnsOfWord: 32 / bits }),
      parts: Object.fromEntries(parts),
    },
  }
}

/** A tensor that must be there beside another one. */
export function partOf(tensors: Tensors, beside: string, name: string): StoredTensor {
  const tensor = tensors.get(name)
  if (tensor) return tensor
  throw invalidTensor(tensors.get(beside)!, `is there without ${name}`)
}

/** The matrix' own shape, from that of the words that its codes are packed in. */
function shapeOf(codes: StoredTensor, { encoding, bits }: StoredForm): readonly [number, number] {
  const { shape } = codes
  const [first, second] = shape
  if (shape.length !== 2 || first === undefined || second === undefined)
    throw invalidTensor(codes, `expected a matrix, found [${shape.join(', ')}]`)
  const perWord = 32 / bits
  if (encoding.startsWith('gptq')) return [second, first * perWord]
  if (encoding.startsWith('awq')) return [second * perWord, first]
  return encoding.startsWith('packed') ? [first, second * perWord] : [first, second]
}

export function invalidTensor({ file, name }: StoredTensor, message: string): EngineError {
  return new EngineError('invalid_file', `${basename(file)}: tensor ${name}: ${message}`)
}
