import { EngineError } from '../errors.js'
import type { ModelConfig } from './config.js'

/** Throws unless a flag of the config has the only value that its family supports, or is absent. */
export function refuse(
  { options }: Pick<ModelConfig, 'options'>,
  name: string,
  only: boolean,
): void {
  if (options.flag(name, only) === only) return
  throw new EngineError(
    'unsupported_model',
    `${options.where}: ${name} ${!only} is not supported; supported is ${only}`,
  )
}
