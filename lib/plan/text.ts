import { inputsOf, layOutArena } from './arena.js'
import type {
  CacheGroup,
  Op,
  PagedAttentionOp,
  Plan,
  PlanLimits,
  Rope,
  RopeStoreKvOp,
  RouteOp,
  TensorView,
  Weight,
} from './ops.js'

/** Version of the text form, the second word of its first line. */
const PLAN_FORMAT_VERSION = 1

/**
 * The text form of a plan, as docs/plan-format.md describes it: what `octavo plan` prints, what
 * snapshots hold and what crosses to native.
 */
export function printPlan(plan: Plan, limits: PlanLimits): string {
  const arena = layOutArena(plan, limits)
  const { tokens, sequences, samples } = limits
  const lines = [
    `octavo-plan ${PLAN_FORMAT_VERSION} ${plan.name}${attributes({ vocab: plan.vocabSize, ...plan.place })}`,
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

export function weightLine({ id, role, type, shape, sources, offset }: Weight): string {
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
  const out =
    'out' in op ? `%${op.out.id} [${op.out.rows},${op.out.cols}] @${offsets[op.out.id]} = ` : ''
  const inputs = inputsOf(op).map(({ id }) => `%${id}`)
  return `${out}${op.kind}(${inputs.join()})${attributes(attributesOf(op))} "${op.label}"`
}

/** What the line of an op says of it beside its values. */
function attributesOf(op: Op): Readonly<Record<string, Attribute>> {
  switch (op.kind) {
    case 'embed': {
      const { weight, scale, positionOffset, firstRow } = op
      return { weight, scale, positionOffset, firstRow }
    }
    case 'norm':
      return { norm: op.norm, eps: op.eps, weight: op.weight, bias: op.bias }
    case 'linear':
      return { weight: op.weight, bias: op.bias, inputs: op.inputs }
    case 'adapt':
      return { weight: op.weight }
    case 'ropeStoreKv': {
      const { rope, clip, growth, qkNorm, rankSums } = op
      const sums = rankSums && { allHeads: rankSums.heads, allKvHeads: rankSums.kvHeads }
      return { rope, ...headsOf(op), clip, ...growth, ...qkNorm, ...sums }
    }
    case 'pagedAttention': {
      const { scale, window, softcap, sinks, inputs } = op
      const slopes = op.slopes && `[${op.slopes.join()}]`
      return { ...headsOf(op), scale, window, softcap, slopes, sinks, inputs }
    }
    case 'activation': {
      const { activation, gated, parameters } = op
      return { activation, gated, parts: op.parts === 1 ? undefined : op.parts, parameters }
    }
    case 'scale':
      return { factor: op.factor, cap: op.cap }
    case 'route':
      return routingOf(op)
    case 'expertLinear': {
      const { topK, split, weights, biases } = op
      return { topK, split, weights, biases: biases.length > 0 ? biases : undefined }
    }
    case 'headLinear':
      return { weights: op.weights }
    case 'storeLatent': {
      const { rope, weight, eps, group, layer, heads } = op
      return { rope, weight, eps, group, layer, heads }
    }
    case 'shortConv': {
      const { weight, bias, width, group, layer } = op
      return { weight, bias, width, group, layer }
    }
    case 'combineExperts':
      return { topK: op.topK }
    case 'sumSquares':
      return { parts: `[${op.parts.join()}]` }
    case 'allGather':
      return { columns: `[${op.columns.join()}]` }
    case 'add':
    case 'allReduce':
    case 'gatherRows':
    case 'pool':
    case 'sample':
      return {}
    default:
      return op satisfies never
  }
}

function headsOf({ group, layer, heads, kvHeads, headDim }: RopeStoreKvOp | PagedAttentionOp) {
  return { group, layer, heads, kvHeads, headDim }
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

/** Each as ` key=value`; what is absent is left out. */
export function attributes(given: Readonly<Record<string, Attribute>>): string {
  return Object.entries(given)
    .map(([key, value]) => (value === undefined ? '' : ` ${key}=${attribute(value)}`))
    .join('')
}

function attribute(value: Exclude<Attribute, undefined>): string {
  if (typeof value === 'boolean') return value ? '1' : '0'
  if (typeof value !== 'object') return String(value)
  return 'id' in value ? String(value.id) : `[${value.map(({ id }) => id).join()}]`
}
