import { describe } from '../check.js'
import { EngineError } from '../errors.js'
import { Fields, isObject } from '../models/fields.js'

/** What an adapter's config says of its modules, by their names in the base model. */
export interface LoraConfig {
  rankOf(module: string): number
  scaleOf(module: string): number
}

/** Fields that make an adapter another thing than two matrices beside each of its modules' own, where they are set. */
const CHANGING = [
  ...['use_dora', 'use_qalora', 'use_bdlora', 'arrow_config', 'kasa_config'],
  ...['alora_invocation_tokens', 'layer_replication', 'target_parameters'],
  ...['modules_to_save', 'trainable_token_indices'],
]

/** Beginnings of `init_lora_weights` with which the base model's own weights change before training. */
const CHANGING_BASE = /^(pissa|olora|corda|loftq)/i

/** PEFT's, for a config that does not say. */
const DEFAULT = { rank: 8, alpha: 8 }

/**
 * Reads a parsed adapter_config.json; fields that only matter for training are not looked at. Throws EngineError
 * `not_supported` for what would give other results here, and `invalid_file` for fields of wrong values.
 */
export function readLoraConfig(json: unknown, file: string): LoraConfig {
  const fields = new Fields(json, file)
  refuseOtherKinds(isObject(json) ? json : {}, file)
  const stabilised = fields.flag('use_rslora', false)
  const rank = fields.integer('r', { min: 1, fallback: DEFAULT.rank })
  const alpha = fields.number('lora_alpha', DEFAULT.alpha)
  const rankOf = byModule(fields, 'rank_pattern', rank, (own, key) => own.integer(key, { min: 1 }))
  const alphaOf = byModule(fields, 'alpha_pattern', alpha, (own, key) => own.number(key))
  const scaleOf = (module: string) => {
    const scale = alphaOf(module) / (stabilised ? Math.sqrt(rankOf(module)) : rankOf(module))
    if (Number.isFinite(Math.fround(scale))) return scale
    throw new EngineError(
      'invalid_file',
      `${file}: module ${module} is scaled by ${scale}, expected a number that float32 holds`,
    )
  }
  return { rankOf, scaleOf }
}

function refuseOtherKinds(json: Readonly<Record<string, unknown>>, file: string): void {
  const refuse = (field: string, expected: string) => {
    const found = describe(json[field])
    const message = `${file}: ${field}: only ${expected} is supported, found ${found}`
    throw new EngineError('not_supported', message)
  }
  if (json.peft_type !== 'LORA') refuse('peft_type', '"LORA"')
  const changing = CHANGING.find((field) => isSet(json[field]))
  if (changing !== undefined) refuse(changing, 'an adapter without it')
  if (CHANGING_BASE.test(String(json.init_lora_weights)))
    refuse(
      'init_lora_weights',
      'an adapter of the base model as it is, such as PEFT converts it to,',
    )
}

function isSet(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return Boolean(value)
  return Object.keys(value).length > 0
}

/**
 * A number that modules have unless a pattern says otherwise. As in PEFT the first pattern counts that fits a
 * module's name, or what of it stands behind a dot.
 */
function byModule(
  fields: Fields,
  name: string,
  value: number,
  read: (patterns: Fields, pattern: string) => number,
): (module: string) => number {
  if (!fields.has(name)) return () => value
  const patterns = fields.object(name)
  const rules = patterns.names().map((pattern) => ({
    matches: expressionOf(pattern, patterns.where),
    value: read(patterns, pattern),
  }))
  return (module) => rules.find(({ matches }) => matches.test(module))?.value ?? value
}

function expressionOf(pattern: string, where: string): RegExp {
  try {
    return new RegExp(`^(.*\\.)?(${pattern})$`)
  } catch (cause) {
    const message = `${where}: expected regular expressions, found ${describe(pattern)}`
    throw new EngineError('invalid_file', message, { cause })
  }
}
