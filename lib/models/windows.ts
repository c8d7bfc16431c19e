import { EngineError } from '../errors.js'
import type { ModelConfig } from './config.js'

/** What a layer's attention sees: all tokens, or the last ones. */
export interface Sight {
  readonly type: 'full' | 'window'
  /** Tokens, the seeing one included; absent: all, also where the context is no longer than the window. */
  readonly window?: number
}

/**
 * The window of each layer. config.json says by `layer_types` which layers have one; a file without
 * it means those of the family's pattern.
 */
export function layerWindows(
  { options, layers, contextLength }: ModelConfig,
  isWindowed: (layer: number) => boolean,
): readonly Sight[] {
  const types = layerTypes(options.strings('layer_types'), layers, options.where)
  const windowed = Array.from({ length: layers }, (_, i) =>
    types ? types[i] === 'sliding_attention' : isWindowed(i),
  )
  const used = options.flag('use_sliding_window', true) && options.has('sliding_window')
  const window = used ? options.integer('sliding_window', { min: 1 }) : contextLength
  return windowed.map((has): Sight => {
    if (!has) return { type: 'full' }
    return window < contextLength ? { type: 'window', window } : { type: 'window' }
  })
}

function layerTypes(types: readonly string[], layers: number, file: string) {
  if (types.length === 0) return undefined
  const unknown = types.find((type) => type !== 'sliding_attention' && type !== 'full_attention')
  if (unknown !== undefined)
    throw new EngineError(
      'unsupported_model',
      `${file}: layer_types "${unknown}" is not supported; supported are sliding_attention, full_attention`,
    )
  if (types.length !== layers)
    throw new EngineError(
      'invalid_file',
      `${file}: layer_types must have num_hidden_layers ${layers} entries, found ${types.length}`,
    )
  return types
}
