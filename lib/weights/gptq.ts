import type { Fields } from '../models/fields.js'
import type { StoredForm } from './encoded-tensors.js'
import {
  bitsOf,
  byModules,
  groupSize,
  parsePattern,
  unsupported,
  type QuantizationScheme,
} from './quantization-scheme.js'

/** 4 and 8 bits, in any order of columns; `group_size` −1 is a whole row. */
export function gptq(fields: Fields): QuantizationScheme {
  const format = fields.text('checkpoint_format', 'gptq')
  if (format !== 'gptq' && format !== 'gptq_v2')
    throw unsupported(fields, `checkpoint_format "${format}"; supported are gptq and gptq_v2`)
  const form = formOf(fields, format)
  const rules = rulesOf(fields, form, format)
  return byModules((module) => {
    const rule = rules.find(({ pattern }) => pattern.test(module))
    return rule === undefined ? form : rule.form
  })
}

interface Rule {
  readonly pattern: RegExp
  /** null: the module is not quantised. */
  readonly form: StoredForm | null
}

/**
 * GPTQModel's rules for modules by pattern, the first that matches being the one: after `-:` modules
 * that are left alone, after `+:` or nothing those with other fields.
 */
function rulesOf(fields: Fields, form: StoredForm, format: string): readonly Rule[] {
  if (!fields.has('dynamic')) return []
  const rules = fields.object('dynamic')
  return rules.names().map((name) => {
    const pattern = parsePattern(fields, 'dynamic', name.replace(/^[+-]:/, ''))
    if (name.startsWith('-:')) return { pattern, form: null }
    const changes = rules.object(name)
    const unknown = changes.names().find((field) => !RULE_FIELDS.includes(field))
    if (unknown !== undefined) throw unsupported(changes, `${unknown} of a rule`)
    return { pattern, form: formOf(changes, format, form) }
  })
}

/** What a rule may change: how codes are stored, and how they were found. */
const RULE_FIELDS = [
  ...['bits', 'group_size', 'desc_act', 'sym', 'act_group_aware', 'static_groups', 'mse'],
  ...['damp_percent', 'damp_auto_increment'],
]

function formOf(fields: Fields, format: string, whole?: StoredForm): StoredForm {
  const bits = whole && !fields.has('bits') ? whole.bits : bitsOf(fields, 'bits', [4, 8])
  return {
    encoding: format === 'gptq' ? `gptq${bits}` : `gptq_v2_${bits}`,
    bits,
    group: whole && !fields.has('group_size') ? whole.group : groupSize(fields),
    codes: 'qweight',
    scales: 'scales',
    zeros: 'qzeros',
    groupOfColumn: 'g_idx',
  }
}
