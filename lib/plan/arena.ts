import type { Op, Plan, PlanLimits, Value } from './ops.js'

/** Where each value of a plan lies in the one buffer that a step's activations share. */
export interface Arena {
  /** Bytes from the start of the arena, by value id; multiples of 64. */
  readonly offsets: readonly number[]
  /** Size of the whole arena. */
  readonly bytes: number
}

/** The ops during which a value's bytes must stay: from its writer to its last reader. */
export interface Life {
  readonly first: number
  readonly last: number
}

const ALIGNMENT = 64
const BYTES_PER_ELEMENT = 4

/**
 * Places every value so that values whose lives overlap never share bytes: those that take the most
 * bytes for the longest time first, each into the smallest gap between the values placed so far.
 */
export function layOutArena(plan: Plan, limits: PlanLimits): Arena {
  const lives = livesOf(plan)
  const offsets: number[] = new Array<number>(plan.values.length).fill(0)
  const placed: { value: Value; start: number; end: number }[] = []
  for (const { value, size } of placingOrder(plan, limits, lives)) {
    const busy = placed.filter((other) => overlap(lives[other.value.id], lives[value.id]))
    const start = bestFit(busy, size)
    offsets[value.id] = start
    placed.push({ value, start, end: start + size })
    placed.sort((a, b) => a.start - b.start)
  }
  return { offsets, bytes: Math.max(0, ...placed.map((value) => value.end)) }
}

/** The life of each value, by its id. */
function livesOf(plan: Plan): readonly Life[] {
  const lives: Life[] = []
  plan.ops.forEach((op, index) => {
    for (const { id } of inputsOf(op)) lives[id] = { first: lives[id]?.first ?? index, last: index }
    if ('out' in op) lives[op.out.id] = { first: index, last: index }
  })
  return lives
}

/** The values that an op reads; the residual of a norm and the target of an adapter are read and written in place. */
export function inputsOf(op: Op): readonly Value[] {
  switch (op.kind) {
    case 'embed':
      return []
    case 'norm':
      return op.residual ? [op.input, op.residual] : [op.input]
    case 'add':
      return [op.input, op.other]
    case 'adapt':
      return [op.input, op.target]
    case 'ropeStoreKv':
      return op.rankSums ? [op.input, op.rankSums.squares] : [op.input]
    case 'linear':
    case 'scale':
    case 'sumSquares':
    case 'allReduce':
    case 'allGather':
    case 'pagedAttention':
    case 'activation':
    case 'gatherRows':
    case 'pool':
    case 'sample':
    case 'headLinear':
    case 'shortConv':
    case 'route':
      return [op.input]
    case 'storeLatent':
      return [op.input, op.positions, op.latent]
    case 'expertLinear':
      return [op.input, op.routes]
    case 'combineExperts':
      return [op.input, op.routes, op.shared, op.gate].filter((value) => value !== undefined)
    default:
      return op satisfies never
  }
}

/** The most rows that a value has in a step within the limits. */
export function rowsOf(value: Value, limits: PlanLimits): number {
  switch (value.rows) {
    case 'T':
      return limits.tokens
    case 'S':
      return limits.sequences
    case 'R':
      return limits.samples
    default:
      return value.rows satisfies never
  }
}

function placingOrder(plan: Plan, limits: PlanLimits, lives: readonly Life[]) {
  return plan.values
    .map((value) => {
      const size = sizeOf(value, limits)
      return { value, size, weight: size * lengthOf(lives[value.id]) }
    })
    .sort((a, b) => b.weight - a.weight || a.value.id - b.value.id)
}

function lengthOf(life: Life | undefined): number {
  return life ? life.last - life.first + 1 : 0
}

function sizeOf(value: Value, limits: PlanLimits): number {
  const bytes = rowsOf(value, limits) * value.cols * BYTES_PER_ELEMENT
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
}

function overlap(a: Life | undefined, b: Life | undefined): boolean {
  return !!a && !!b && a.first <= b.last && b.first <= a.last
}

/** `busy` is in the order of its starts. Returns the start of the smallest gap that is large enough. */
function bestFit(busy: readonly { start: number; end: number }[], size: number): number {
  let best: { start: number; gap: number } | undefined
  let end = 0
  for (const range of busy) {
    const gap = range.start - end
    if (gap >= size && gap < (best?.gap ?? Infinity)) best = { start: end, gap }
    end = Math.max(end, range.end)
  }
  return best?.start ?? end
}
