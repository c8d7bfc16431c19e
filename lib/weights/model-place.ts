import { outOfRange } from '../check.js'

/** Kinds of weight files. */
export type WeightFormat = 'safetensors' | 'gguf'

/** Where a model lies. */
export interface ModelPlace {
  /** Of a folder of safetensors, or of a GGUF file. Absolute. */
  readonly path: string
  readonly format: WeightFormat
}

/** Throws RangeError where `files` are of another kind than the one that is asked for. */
export function checkFormat(
  files: string,
  found: WeightFormat,
  wanted: WeightFormat | 'auto' = 'auto',
): void {
  if (wanted !== 'auto' && wanted !== found)
    throw outOfRange('loadFormat', `'auto' or '${found}' with the files of ${files}`, wanted)
}
