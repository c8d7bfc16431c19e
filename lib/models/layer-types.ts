import { EngineError } from '../errors.js'
import type { Fields } from './fields.js'

/** config.json's `layer_types`, or the field of another name: one of `known` for each layer. */
export function layerTypes(
  options: Fields,
  layers: number,
  known: readonly string[],
  field = 'layer_types',
): readonly string[] {
  const types = options.strings(field)
  const unknown = types.find((type) => !known.includes(type))
  if (unknown !== undefined)
    throw new EngineError(
      'unsupported_model',
      `${options.where}: layer_types "${unknown}" is not supported; supported are ${known.join(', ')}`,
    )
  if (types.length === layers) return types
  throw new EngineError(
    'invalid_file',
    `${options.where}: layer_types must have num_hidden_layers ${layers} entries, found ${types.length}`,
  )
}
