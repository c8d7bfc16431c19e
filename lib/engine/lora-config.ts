import { checkBoolean, checkInteger, outOfRange, type RawOptions } from '../check.js'

/** How many adapters (LoRA) an engine serves at once; docs/lora.md. */
export interface LoraConfig {
  /** Adapters that lie beside the model at once, each of some of the requests that run. */
  readonly maxLoras: number
  /** The largest rank of an adapter's matrices. */
  readonly maxLoraRank: number
}

const DEFAULTS: LoraConfig = { maxLoras: 8, maxLoraRank: 64 }
const LIMITS: LoraConfig = { maxLoras: 1024, maxLoraRank: 1024 }

/** Checks `enableLora` and the options that go with it; null: adapters are not served. */
export function checkLoraConfig(raw: RawOptions): LoraConfig | null {
  const enabled = checkBoolean('enableLora', raw.enableLora ?? false)
  const integer = (name: keyof LoraConfig): number => {
    const value = raw[name]
    if (value === undefined) return DEFAULTS[name]
    if (!enabled) throw outOfRange(name, 'none without enableLora', value)
    return checkInteger(name, value, { min: 1, max: LIMITS[name] })
  }
  const config = { maxLoras: integer('maxLoras'), maxLoraRank: integer('maxLoraRank') }
  return enabled ? Object.freeze(config) : null
}
