import type { CacheGroup, Plan, StoredType, TokenRow, Weight, WeightType } from './ops.js'

/** Bytes that one element takes. */
export function bytesPerElement(type: StoredType): number {
  return type === 'float32' ? 4 : 2
}

/** Bytes that a layer keeps of a token. */
export function tokenBytes(row: Omit<TokenRow, 'name' | 'layers'>): number {
  const { type, kvHeads, keyDim, valueDim, latent } = row
  const columns = latent ? keyDim : keyDim + valueDim
  switch (type) {
    case 'int8':
      return kvHeads * (columns + (latent ? 1 : 2) * BYTES_OF_FLOAT32)
    case 'fp8':
      return kvHeads * columns
    default:
      return kvHeads * columns * bytesPerElement(type)
  }
}

export interface Quantization {
  readonly bits: 4 | 8 | 16
  /** Columns; null: a whole row. */
  readonly group: number | null
  /** Whether codes choose uneven levels. */
  readonly levels: boolean
}

/** The parts of a quantised type's name; null for a type that is not quantised. */
export function quantizationOf(type: WeightType): Quantization | null {
  const [, kind, bits, group] = /^(int|levels)(4|8|16)(?:\/(\d+))?$/.exec(type) ?? []
  if (bits === undefined) return null
  const columns = group === undefined ? null : Number(group)
  return { bits: Number(bits) as Quantization['bits'], group: columns, levels: kind === 'levels' }
}

/** Parameters of the model; a tied tensor counts once. */
export function parameterCount(plan: Plan): number {
  return sum(plan.weights, elementsOf)
}

/** Bytes of the model's weights in the plan's types. */
export function weightBytes(plan: Plan): number {
  return sum(plan.weights, bytesOf)
}

/** Bytes of one token's keys and values in all layers that keep them, or a window of them. */
export function cacheBytesPerToken(plan: Plan): number {
  return sum(plan.caches, bytesPerToken)
}

/** Bytes of a sequence's states, whatever its length. */
export function stateBytesPerSequence(plan: Plan): number {
  return sum(plan.caches, stateBytes)
}

/** Bytes of a block: of the largest that a cache group needs for so many tokens, or for its state. */
export function cacheBlockBytes(plan: Plan, blockSize: number): number {
  const sizes = plan.caches.map((group) =>
    group.kind === 'state' ? stateBytes(group) : bytesPerToken(group) * blockSize,
  )
  return Math.max(0, ...sizes)
}

const BYTES_OF_FLOAT32 = 4

function stateBytes(group: CacheGroup): number {
  return group.kind === 'state' ? group.layers * group.elements * BYTES_OF_FLOAT32 : 0
}

function bytesPerToken(group: CacheGroup): number {
  if (group.kind === 'state') return 0
  return group.layers * tokenBytes(group)
}

/** Scales and minimums are counted with 16 bits each, as most of them are packed. */
function bytesOf(weight: Weight): number {
  const quantization = quantizationOf(weight.type)
  if (!quantization) return elementsOf(weight) * bytesPerElement(weight.type as StoredType)
  const [rows = 0, cols = 0] = weight.shape
  const groups = Math.ceil(cols / (quantization.group ?? cols))
  return rows * (Math.ceil((cols * quantization.bits) / 8) + groups * 4)
}

/** The most tokens of a sequence that a table of positions has rows for; without one, infinity. */
export function positionLimit(plan: Plan): number {
  const limits = plan.ops.map((op) =>
    op.kind === 'embed' && op.positionOffset !== undefined
      ? (op.weight.shape[0] ?? 0) - op.positionOffset
      : Infinity,
  )
  return Math.min(...limits)
}

/** Columns of the table of embeddings. */
export function embeddingColumns({ ops }: Plan): number {
  const table = ops.find((op) => op.kind === 'embed' && op.positionOffset === undefined)
  return table?.kind === 'embed' ? table.out.cols : 0
}

/** Tokens from which on a longer sequence turns all its positions otherwise; infinity: none does. */
export function longRopeFrom({ ropes }: Plan): number {
  return Math.min(...ropes.map(({ long }) => long?.from ?? Infinity))
}

/**
 * Bytes that a GPU takes ahead for adapters of a rank: beside each matrix that they may change, room for the two of each
 * of its sources, in 16 bits, or in 32 beside a matrix that is.
 */
export function adapterBytes({ ops }: Plan, rank: number): number {
  const adapted = new Set(ops.flatMap((op) => (op.kind === 'adapt' ? op.weight : [])))
  const padded = Math.ceil(rank / ADAPTER_RANK_STEP) * ADAPTER_RANK_STEP
  return sum([...adapted], ({ type, shape: [rows = 0, columns = 0], sources }) => {
    const elements = padded * (columns * sources.length + rows)
    return elements * bytesPerElement(type === 'float32' ? type : 'bfloat16')
  })
}

const ADAPTER_RANK_STEP = 16

function elementsOf(weight: Weight): number {
  return weight.shape.reduce((product, size) => product * size, 1)
}

function sum<T>(items: readonly T[], measure: (item: T) => number): number {
  return items.reduce((total, item) => total + measure(item), 0)
}
