import { inputsOf, layOutArena } from './arena.js'
import type {
  CacheGroup,
  Op,
  Plan,
  PlanLimits,
  Rope,
  RouteOp,
  TensorView,
  Value,
  Weight,
} from './ops.js'

/** Version of the text form, the second word of its first line. */
export const PLAN_FORMAT_VERSION = 1

/**
 * The text form of a plan, as docs/plan-format.md describes it: what `octavo plan` prints, what
 * snapshots hold and what crosses to native.
 */
export function printPlan(plan: Plan, limits: PlanLimits): string {
  const arena = layOutArena(plan, limits)
  const { tokens, sequences, samples } = limits
  const lines = [
    `octavo-plan ${PLAN_FORMAT_VERSION} ${plan.name} vocab=${plan.vocabSize}`,
    `limits T=${tokens} S=${sequences} R=${samples} arena=${arena.bytes}`,
    ...plan.caches.map(cacheLine),
    ...plan.ropes.map(ropeLine),
    ...plan.weights.map(weightLine),
    ...plan.ops.map((op) => opLine(op, arena.offsets)),
  ]
  return lines.join('\n') + '\n'
}

function cacheLine(group: CacheGroup, index: number): string {
  const { name, kind, layers } = group
  if (kind === 'state')
    return `cache ${index} ${name} state float32` + attributes({ layers, elements: group.elements })
  const { type, kvHeads, keyDim, valueDim, latent } = group
  const window = kind === 'window' ? group.window : undefined
  const row = { layers, kvHeads, keyDim, valueDim, latent, window }
  return `cache ${index} ${name} ${kind} ${type}` + attributes(row)
}

function ropeLine({ id, dim, scale, invFreq, interleaved, dynamic, long }: Rope): string {
  const list = (numbers: readonly number[]) => `[${numbers.join()}]`
  const longer = long && { longFrom: long.from, longInvFreq: list(long.invFreq) }
  const given = { dim, scale, invFreq: list(invFreq), interleaved, ...dynamic, ...longer }
  return `rope ${id}` + attributes(given)
}

function weightLine({ id, role, type, shape, sources, offset }: Weight): string {
  const fused = sources.length > 1
  const parts = sources.map(({ name, rows, view }) => {
    if (view) return `${name}:${rows}@${viewText(view)}`
    return fused ? `${name}:${rows}` : name
  })
  return `weight ${id} ${role} ${type} [${shape.join()}]${attributes({ offset })} ${parts.join(' ')}`
}

function viewText({ first, columnStep, loops }: TensorView): string {
  return [first, columnStep, ...loops.map(({ count, step }) => `${count}x${step}`)].join('/')
}

function opLine(op: Op, offsets: readonly number[]): string {
  switch (op.kind) {
    case 'embed':
      return line(op, offsets, [], {
        weight: op.weight,
        scale: op.scale,
        positionOffset: op.positionOffset,
      })
    case 'norm': {
      const { norm, eps, input, residual, weight, bias } = op
      return line(op, offsets, residual ? [input, residual] : [input], { norm, eps, weight, bias })
    }
    case 'linear':
      return line(op, offsets, [op.input], { weight: op.weight, bias: op.bias })
    case 'ropeStoreKv': {
      const { rope, group, layer, heads, kvHeads, headDim, clip, qkNorm } = op
      const given = { rope, group, layer, heads, kvHeads, headDim, clip, ...qkNorm }
      return line(op, offsets, [op.input], given)
    }
    case 'pagedAttention': {
      const { group, layer, heads, kvHeads, headDim, scale, window, softcap, sinks } = op
      const slopes = op.slopes && `[${op.slopes.join()}]`
      const given = { group, layer, heads, kvHeads, headDim, scale, window, softcap, slopes, sinks }
      return line(op, offsets, [op.input], given)
    }
    case 'activation': {
      const { activation, gated, parameters } = op
      const parts = op.parts === 1 ? undefined : op.parts
      return line(op, offsets, [op.input], { activation, gated, parts, parameters })
    }
    case 'scale':
      return line(op, offsets, [op.input], { factor: op.factor, cap: op.cap })
    case 'route':
      return line(op, offsets, [op.input], routingOf(op))
    case 'expertLinear': {
      const { topK, split, weights, biases } = op
      const given = { topK, split, weights, biases: biases.length > 0 ? biases : undefined }
      return line(op, offsets, [op.input, op.routes], given)
    }
    case 'headLinear':
      return line(op, offsets, [op.input], { weights: op.weights })
    case 'storeLatent': {
      const { rope, weight, eps, group, layer, heads } = op
      return line(op, offsets, inputsOf(op), { rope, weight, eps, group, layer, heads })
    }
    case 'shortConv': {
      const { weight, bias, width, group, layer } = op
      return line(op, offsets, [op.input], { weight, bias, width, group, layer })
    }
    case 'combineExperts':
      return line(op, offsets, inputsOf(op), { topK: op.topK })
    case 'add':
    case 'gatherRows':
    case 'pool':
    case 'sample':
      return line(op, offsets, inputsOf(op), {})
    default:
      return op satisfies never
  }
}

function routingOf(op: RouteOp) {
  const { experts, topK, score, renormalise, scale, groups, topGroups, groupScore, bias } = op
  const grouping = groups === 1 ? {} : { groups, topGroups, groupScore }
  return { experts, topK, score, renormalise, scale, ...grouping, bias }
}

type Attribute = string | number | boolean | Numbered | readonly Numbered[] | undefined
interface Numbered {
  readonly id: number
}

function line(
  op: Op,
  offsets: readonly number[],
  inputs: readonly Value[],
  given: Readonly<Record<string, Attribute>>,
): string {
  const out =
    'out' in op ? `%${op.out.id} [${op.out.rows},${op.out.cols}] @${offsets[op.out.id]} = ` : ''
  const call = `${op.kind}(${inputs.map((value) => `%${value.id}`).join()})`
  return `${out}${call}${attributes(given)} "${op.label}"`
}

/** Each as ` key=value`; what is absent is left out. */
function attributes(given: Readonly<Record<string, Attribute>>): string {
  return Object.entries(given)
    .map(([key, value]) => (value === undefined ? '' : ` ${key}=${attribute(value)}`))
    .join('')
}

function attribute(value: Exclude<Attribute, undefined>): string {
  if (typeof value === 'boolean') return value ? '1' : '0'
  if (typeof value !== 'object') return String(value)
  return 'id' in value ? String(value.id) : `[${value.map(({ id }) => id).join()}]`
}
