import { checkOptions, checkText, wrongType } from '../check.js'

/**
 * Which adapter (LoRA) a request is computed with. The first request that names it, or `engine.loras.add`, reads its
 * files; later ones may leave the path out.
 *
 * @example
 * await engine.generate('How many users?', { maxTokens: 64 }, { loraRequest: { loraName: 'sql', loraPath: './sql' } })
 */
export interface LoraRequest {
  /** What it is called, in requests, statistics and metrics. */
  readonly loraName: string
  /** A folder in PEFT's format, the Hugging Face id of one, or a `.gguf` file. */
  readonly loraPath?: string
}

const KNOWN: ReadonlySet<string> = new Set(['loraName', 'loraPath'])

/** Checks such an option. Throws TypeError that begins with its name. */
export function checkLoraRequest(name: string, value: unknown): LoraRequest {
  if (typeof value !== 'object' || value === null)
    throw wrongType(name, 'an object { loraName, loraPath }', value)
  const { loraName, loraPath } = checkOptions(value, `${name} field`, KNOWN)
  checkText(`${name}.loraName`, loraName)
  if (loraPath !== undefined) checkText(`${name}.loraPath`, loraPath)
  return value as LoraRequest
}
