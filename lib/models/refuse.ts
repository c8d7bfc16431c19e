import { EngineError } from '../errors.js'
import type { ModelConfig } from './config.js'

/** Throws unless a field of the config has the only value that its family supports, or is absent. */
export function refuse(
  { options }: Pick<ModelConfig, 'options'>,
  name: string,
  only: boolean | number,
): void {
  const found = typeof only === 'number' ? options.number(name, only) : options.flag(name, only)
  if (found === only) return
  throw new EngineError(
    'unsupported_model',
    `${options.where}: ${name} ${found} is not supported; supported is ${only}`,
  )
}
