import type { Encoding } from './encoded-tensors.js'

/** An element type of GGUF: how many values a block holds, and the block's bytes. */
export interface GgmlType {
  readonly name: string
  readonly values: number
  readonly bytes: number
}

/** The types by their number in a file; those without a name are no longer in use. */
const TYPES: Readonly<Record<number, readonly [name: string, values: number, bytes: number]>> = {
  0: ['F32', 1, 4],
  1: ['F16', 1, 2],
  2: ['Q4_0', 32, 18],
  3: ['Q4_1', 32, 20],
  6: ['Q5_0', 32, 22],
  7: ['Q5_1', 32, 24],
  8: ['Q8_0', 32, 34],
  9: ['Q8_1', 32, 36],
  10: ['Q2_K', 256, 84],
  11: ['Q3_K', 256, 110],
  12: ['Q4_K', 256, 144],
  13: ['Q5_K', 256, 176],
  14: ['Q6_K', 256, 210],
  15: ['Q8_K', 256, 292],
  16: ['IQ2_XXS', 256, 66],
  17: ['IQ2_XS', 256, 74],
  18: ['IQ3_XXS', 256, 98],
  19: ['IQ1_S', 256, 50],
  20: ['IQ4_NL', 32, 18],
  21: ['IQ3_S', 256, 110],
  22: ['IQ2_S', 256, 82],
  23: ['IQ4_XS', 256, 136],
  24: ['I8', 1, 1],
  25: ['I16', 1, 2],
  26: ['I32', 1, 4],
  27: ['I64', 1, 8],
  28: ['F64', 1, 8],
  29: ['IQ1_M', 256, 56],
  30: ['BF16', 1, 2],
  34: ['TQ1_0', 256, 54],
  35: ['TQ2_0', 256, 66],
  39: ['MXFP4', 32, 17],
}

/** The codes that hold the numbers of a quantised type exactly: bits, and columns of a group. */
const FORMS: Readonly<Record<string, readonly [bits: 4 | 8, group: number]>> = {
  Q4_0: [4, 32],
  Q4_1: [4, 32],
  Q5_0: [8, 32],
  Q5_1: [8, 32],
  Q8_0: [8, 32],
  Q2_K: [4, 16],
  Q3_K: [8, 16],
  Q4_K: [4, 32],
  Q5_K: [8, 32],
  Q6_K: [8, 16],
  IQ4_NL: [8, 32],
  IQ4_XS: [8, 32],
  MXFP4: [8, 32],
}

/** The names of all types that are read, those of elements first. */
export const readableTypes: readonly string[] = ['F32', 'F16', 'BF16', ...Object.keys(FORMS)]

/** How csrc/decoders reads a type; null for one of elements, or one that it does not read. */
export function ggmlEncoding(name: string): Encoding | null {
  const form = Object.hasOwn(FORMS, name) ? FORMS[name]! : null
  return form && { name: name.toLowerCase(), bits: form[0], group: form[1] }
}

/** The type of this number; null where there is none. */
export function ggmlType(id: number): GgmlType | null {
  const type = TYPES[id]
  return type ? { name: type[0], values: type[1], bytes: type[2] } : null
}
