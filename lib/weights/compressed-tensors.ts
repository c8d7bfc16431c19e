import type { Fields } from '../models/fields.js'
import { FLOAT8, squareSide } from './float8.js'
import type { StoredForm } from './encoded-tensors.js'
import {
  bitsOf,
  byModules,
  groupSize,
  isIn,
  parsePattern,
  unsupported,
  type QuantizationScheme,
} from './quantization-scheme.js'

/** Scales of inputs, which get others here, and of what a quantised cache would keep. */
const OF_ACTIVATIONS = ['input_scale', 'input_zero_point', 'output_scale', 'output_zero_point']

const FORMATS = ['pack-quantized', 'int-quantized', 'float-quantized', 'naive-quantized']

/**
 * The schemes of compressed-tensors with weights of 4 and 8 bits. Each group of modules has targets: names,
 * patterns after `re:`, or a class; every matrix here is a `Linear`.
 */
export function compressedTensors(fields: Fields): QuantizationScheme {
  const status = fields.text('quantization_status', 'compressed')
  if (status !== 'compressed') throw unsupported(fields, `quantization_status "${status}"`)
  const format = fields.text('format', 'dense')
  const groups = fields.object('config_groups')
  const forms = groups.names().map((name) => {
    const group = groups.object(name)
    const form = formOf(group.object('weights'), group.text('format', format))
    return { isTarget: targetsOf(group, 'targets'), form }
  })
  const isPlain = targetsOf(fields, 'ignore')
  return byModules((module) =>
    isPlain(module) ? null : (forms.find(({ isTarget }) => isTarget(module))?.form ?? null),
  )
}

function formOf(weights: Fields, format: string): StoredForm {
  if (!FORMATS.includes(format))
    throw unsupported(weights, `format "${format}"; supported are ${FORMATS.join(', ')}`)
  const type = weights.text('type', 'int')
  if (type === 'float' && format !== 'pack-quantized') return floatForm(weights)
  if (type !== 'int') throw unsupported(weights, `type "${type}" in format ${format}`)
  const strategy = weights.text('strategy', 'tensor')
  if (!['tensor', 'channel', 'group'].includes(strategy))
    throw unsupported(weights, `strategy "${strategy}"; supported are tensor, channel and group`)
  const packed = format === 'pack-quantized'
  const bits = bitsOf(weights, 'num_bits', packed ? [4, 8] : [8])
  return {
    encoding: packed ? `packed${bits}` : 'int8',
    bits,
    group: strategy === 'group' ? groupSize(weights) : null,
    codes: packed ? 'weight_packed' : 'weight',
    scales: 'weight_scale',
    zeros: 'weight_zero_point',
    groupOfColumn: 'weight_g_idx',
    unused: ['weight_shape', ...OF_ACTIVATIONS],
  }
}

function floatForm(weights: Fields): StoredForm {
  bitsOf(weights, 'num_bits', [8])
  const strategy = weights.text('strategy', 'tensor')
  const form = { ...FLOAT8, scales: 'weight_scale', unused: OF_ACTIVATIONS }
  if (strategy === 'tensor' || strategy === 'channel') return { ...form, block: null }
  if (strategy === 'block') return { ...form, block: squareSide(weights, 'block_structure') }
  throw unsupported(weights, `strategy "${strategy}"; supported are tensor, channel and block`)
}

/** Whether a module is one of those that a list names. */
function targetsOf(fields: Fields, name: string): (module: string) => boolean {
  const targets = fields.strings(name)
  const patterns = targets
    .filter((target) => target.startsWith('re:'))
    .map((target) => parsePattern(fields, name, target.slice(3)))
  return (module) =>
    targets.includes('Linear') ||
    isIn(module, targets) ||
    patterns.some((pattern) => pattern.test(module))
}
