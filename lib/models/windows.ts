import type { ModelConfig } from './config.js'
import { layerTypes } from './layer-types.js'

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
  const types = options.has('layer_types')
    ? layerTypes(options, layers, ['full_attention', 'sliding_attention'])
    : undefined
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
