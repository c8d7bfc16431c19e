import type {
  CacheType,
  EmbedOp,
  ExpertLinearOp,
  GatherRowsOp,
  HeadLinearOp,
  LinearOp,
  NormOp,
  Op,
  PagedAttentionOp,
  Plan,
  QkNorm,
  RopeStoreKvOp,
  ShortConvOp,
  StoreLatentOp,
  Value,
  Weight,
  WeightSource,
} from '../../lib/plan/ops.js'
import { asCached } from './cache-rows.js'
import { isQuantized, requantized } from './quantize.js'
import { activate } from './reference-activations.js'
import { adapt, type ReferenceAdapter } from './reference-adapters.js'
import { combineExperts, route } from './reference-experts.js'
import { collected, isCollective, sumSquares } from './reference-ranks.js'
import type { Collective, Exchange } from './reference-ranks.js'
import { dot, normalise, rotate, softcap, softmax, sum, type Row } from './reference-rows.js'
import { roundTo } from './weights.js'

/** Elements of a checkpoint tensor by its name. */
export type TensorReader = (name: string) => ArrayLike<number>

/** Rows of one sequence in a step: its tokens from position `start` on. */
export interface ReferenceSequence {
  /** Names the sequence's keys and values from step to step. */
  readonly id: string
  readonly start: number
  readonly tokens: readonly number[]
  /** Tokens of it that are known. Default: these, and those before them. */
  readonly length?: number
  /** Default: none. */
  readonly adapter?: ReferenceAdapter
}

export interface ReferenceStep {
  readonly sequences: readonly ReferenceSequence[]
  /** Token rows, counted over all sequences, whose logits are wanted. */
  readonly sampleRows: readonly number[]
}

interface TokenRow {
  readonly sequence: string
  readonly position: number
  readonly token: number
  readonly length: number
  readonly adapter?: ReferenceAdapter
}

/**
 * Runs a plan in float64 with plain loops: what every backend is compared with. Keys and values are
 * kept dense, one list a sequence and layer, rounded to the cache's stored type.
 */
export class Reference {
  readonly #weights = new Map<number, Row>()
  readonly #cache = new Map<string, { key: Row; value: Row }[]>()

  constructor(
    readonly plan: Plan,
    readonly tensors: TensorReader,
  ) {}

  /**
   * The rows of every value as the last op that wrote them left them, by value id. Values in `given`
   * replace what an op computed once it has been recorded, so that later ops read the given rows:
   * with a backend's values, each op is judged on the very inputs that the backend's op had.
   */
  run(step: ReferenceStep, given?: ReadonlyMap<number, ArrayLike<number>>): Map<number, Row[]> {
    const end = this.steps(step, given).next()
    if (!end.done) throw new Error(`${end.value.op.kind} ${end.value.op.label} wants other ranks`)
    return end.value
  }

  /** The same for one of several ranks: it stops at each collective for what all of them have. */
  *steps(
    step: ReferenceStep,
    given?: ReadonlyMap<number, ArrayLike<number>>,
  ): Generator<Exchange, Map<number, Row[]>, readonly Row[][]> {
    const rows = step.sequences.flatMap(
      ({ id, start, tokens, length = start + tokens.length, adapter }): TokenRow[] =>
        tokens.map((token, i) => ({ sequence: id, position: start + i, token, length, adapter })),
    )
    const computed = new Map<number, Row[]>()
    const current = new Map<number, Row[]>()
    const adapted = new Set(this.plan.ops.flatMap((op) => (op.kind === 'adapt' ? op.target : [])))
    for (const op of this.plan.ops) {
      const read = (value: Value) => current.get(value.id)!
      const out = isCollective(op)
        ? collected(op, yield { op, rows: copy(read(op.input)) })
        : this.#compute(op, rows, step.sampleRows, read)
      if (op.kind === 'norm' && op.residual)
        computed.set(op.residual.id, copy(current.get(op.residual.id)!))
      const written = 'out' in op ? op.out : op.kind === 'adapt' ? op.target : null
      if (written === null) continue
      computed.set(written.id, copy(out))
      const isLast = op.kind === 'adapt' || !adapted.has(written)
      const replaced = isLast ? split(given?.get(written.id), written.cols) : undefined
      current.set(written.id, replaced ?? out)
    }
    return computed
  }

  /** Logits of the last token of each sequence or, with `all`, of every token. */
  logits(sequences: readonly ReferenceSequence[], { all = false } = {}): Row[] {
    const ends = sequences.map((_, i) => total(sequences.slice(0, i + 1)) - 1)
    const every = Array.from({ length: total(sequences) }, (_, row) => row)
    const values = this.run({ sequences, sampleRows: all ? every : ends })
    const sample = this.plan.ops.find((op) => op.kind === 'sample')!
    return values.get(sample.input.id)!
  }

  #compute(
    op: Exclude<Op, Collective>,
    rows: readonly TokenRow[],
    sampleRows: readonly number[],
    read: (value: Value) => Row[],
  ): Row[] {
    switch (op.kind) {
      case 'embed':
        return rows.map((row) => this.#embed(op, row))
      case 'norm':
        return this.#norm(op, read(op.input), op.residual && read(op.residual))
      case 'linear':
        return read(op.input).map((row) =>
          this.#linear(op, asCached(op.inputs ?? 'float32', row, 1)),
        )
      case 'adapt': {
        const tokenRow = op.target.rows === 'R' ? sampleRows.map((row) => rows[row]!) : rows
        return adapt(
          op,
          read,
          tokenRow.map(({ adapter }) => adapter),
        )
      }
      case 'ropeStoreKv':
        return read(op.input).map((row, t) => {
          const squares = op.rankSums && read(op.rankSums.squares)[t]
          return this.#ropeStoreKv(op, row, rows[t]!, squares)
        })
      case 'pagedAttention':
        return read(op.input).map((row, t) =>
          this.#attend(op, asCached(op.inputs ?? 'float32', row, 1), rows[t]!),
        )
      case 'activation':
        return read(op.input).map((row) =>
          activate(op, row, op.parameters && this.#weight(op.parameters)),
        )
      case 'route':
        return read(op.input).map((row) => route(op, row, op.bias && this.#weight(op.bias)))
      case 'expertLinear':
        return read(op.input).map((row, t) => this.#expertLinear(op, row, read(op.routes)[t]!))
      case 'combineExperts':
        return combineExperts(op, read)
      case 'headLinear':
        return read(op.input).map((row) => this.#headLinear(op, row))
      case 'storeLatent':
        return read(op.input).map((row, t) =>
          this.#storeLatent(op, row, read(op.positions)[t]!, read(op.latent)[t]!, rows[t]!),
        )
      case 'shortConv':
        return read(op.input).map((row, t) => this.#shortConv(op, row, rows[t]!))
      case 'scale':
        return read(op.input).map((row) => row.map((x) => softcap(x * op.factor, op.cap)))
      case 'add': {
        const other = read(op.other)
        return read(op.input).map((row, t) => row.map((x, c) => x + other[t]![c]!))
      }
      case 'sumSquares':
        return read(op.input).map((row) => sumSquares(op, row))
      case 'gatherRows':
        return gather(op, read(op.input), sampleRows)
      case 'pool':
      case 'sample':
        return []
      default:
        return op satisfies never
    }
  }

  #embed(op: EmbedOp, { token, position }: TokenRow): Row {
    const { weight, scale, positionOffset, firstRow = 0, out } = op
    const table = this.#weight(weight)
    const index = positionOffset === undefined ? token - firstRow : position + positionOffset
    const isOthers = op.firstRow !== undefined && (index < 0 || index >= weight.shape[0]!)
    if (isOthers) return new Float64Array(out.cols)
    const row = table.subarray(index * out.cols, (index + 1) * out.cols)
    return Float64Array.from(row, (x) => x * scale)
  }

  #norm({ norm, eps, weight, bias }: NormOp, input: Row[], residual?: Row[]): Row[] {
    residual?.forEach((row, t) => row.forEach((x, c) => (row[c] = x + input[t]![c]!)))
    const gain = weight && this.#weight(weight)
    const shift = bias && this.#weight(bias)
    return (residual ?? input).map((row) => normalise(row, { norm, eps, gain, shift }))
  }

  #expertLinear(op: ExpertLinearOp, row: Row, routes: Row): Row {
    const columns = row.length / (op.split ? op.topK : 1)
    const parts = Array.from(routes.slice(0, op.topK), (id, j) => {
      const from = op.split ? j * columns : 0
      const parameters = { weight: op.weights[id]!, bias: op.biases[id] }
      return [...this.#linear(parameters, row.slice(from, from + columns))]
    })
    return Float64Array.from(parts.flat())
  }

  #linear({ weight, bias }: Pick<LinearOp, 'weight' | 'bias'>, row: Row): Row {
    const matrix = this.#weight(weight)
    const shift = bias && this.#weight(bias)
    const result = new Float64Array(weight.shape[0]!)
    for (let o = 0; o < result.length; o++) {
      let accumulator = shift?.[o] ?? 0
      const start = o * row.length
      for (let i = 0; i < row.length; i++) accumulator += row[i]! * matrix[start + i]!
      result[o] = accumulator
    }
    return result
  }

  #ropeStoreKv(op: RopeStoreKvOp, row: Row, token: TokenRow, squares?: Row): Row {
    const { sequence, position } = token
    const { heads, kvHeads, headDim, rope, qkNorm, clip = Infinity, growth, group, layer } = op
    const q = row.slice(0, heads * headDim)
    const k = row.slice(heads * headDim, (heads + kvHeads) * headDim)
    const v = row.slice((heads + kvHeads) * headDim)
    const means = op.rankSums && {
      q: squares![0]! / (op.rankSums.heads * headDim),
      k: squares![1]! / (op.rankSums.kvHeads * headDim),
    }
    if (qkNorm && !qkNorm.afterRope) this.#qkNorm(qkNorm, q, k, headDim, means)
    for (const part of [q, k, v]) part.set(part.map((x) => Math.min(clip, Math.max(-clip, x))))
    if (rope) for (const part of [q, k]) rotate(part, headDim, rope, token)
    if (qkNorm?.afterRope) this.#qkNorm(qkNorm, q, k, headDim)
    const stored = (part: Row) => asCached(this.#cacheType(group), part, headDim)
    this.#layer(sequence, group, layer)[position] = { key: stored(k), value: stored(v) }
    const factor = growth ? 1 + growth.beta * Math.log1p(Math.floor(position / growth.span)) : 1
    return q.map((x) => x * factor)
  }

  #cacheType(group: number): CacheType {
    const cache = this.plan.caches[group]!
    return cache.kind === 'state' ? 'float32' : cache.type
  }

  #qkNorm(
    { norm, eps, over, ...vectors }: QkNorm,
    q: Row,
    k: Row,
    headDim: number,
    means?: { readonly q: number; readonly k: number },
  ): void {
    const { qWeight, kWeight, qBias, kBias } = vectors
    for (const [part, weight, bias, variance] of [
      [q, qWeight, qBias, means?.q],
      [k, kWeight, kBias, means?.k],
    ] as const) {
      const width = over === 'head' ? headDim : part.length
      for (let start = 0; start < part.length; start += width) {
        const piece = (vector?: Weight) => {
          const all = vector && this.#weight(vector)
          return all?.subarray(start % all.length, (start % all.length) + width)
        }
        const options = { norm, eps, gain: piece(weight), shift: piece(bias), variance }
        part.set(normalise(part.subarray(start, start + width), options), start)
      }
    }
  }

  #headLinear({ weights }: HeadLinearOp, row: Row): Row {
    const columns = weights[0]!.shape[1]!
    const parts = weights.map((weight, h) =>
      this.#linear({ weight }, row.slice(h * columns, (h + 1) * columns)),
    )
    return Float64Array.from(parts.flatMap((part) => [...part]))
  }

  #storeLatent(op: StoreLatentOp, row: Row, positions: Row, latent: Row, token: TokenRow): Row {
    const { sequence, position } = token
    const { heads, rope, group, layer } = op
    const turned = positions.slice(positions.length - heads * rope.dim)
    rotate(turned, rope.dim, rope, token)
    const rank = latent.length - rope.dim
    const key = latent.slice(rank)
    rotate(key, rope.dim, rope, token)
    const gain = this.#weight(op.weight)
    const squares = sum(latent.slice(0, rank).map((x) => x * x)) / rank
    const normed = latent.slice(0, rank).map((x, c) => (x / Math.sqrt(squares + op.eps)) * gain[c]!)
    const whole = Float64Array.from([...normed, ...key])
    const stored = asCached(this.#cacheType(group), whole, whole.length)
    this.#layer(sequence, group, layer)[position] = { key: stored, value: stored.slice(0, rank) }
    const queries = Array.from({ length: heads }, (_, h) => [
      ...row.slice(h * rank, (h + 1) * rank),
      ...turned.slice(h * rope.dim, (h + 1) * rope.dim),
    ])
    return Float64Array.from(queries.flat())
  }

  /** All rows of u are kept, by position. */
  #shortConv(op: ShortConvOp, row: Row, { sequence, position }: TokenRow): Row {
    const { width, group, layer } = op
    const columns = op.out.cols
    const weight = this.#weight(op.weight)
    const bias = op.bias && this.#weight(op.bias)
    const value = row.slice(0, columns).map((b, c) => b * row[2 * columns + c]!)
    const history = this.#layer(sequence, group, layer)
    history[position] = { key: value, value }
    return value.map((_, c) => {
      let result = bias?.[c] ?? 0
      for (let k = 0; k < width; k++) {
        const before = history[position - width + 1 + k]
        if (before) result += weight[c * width + k]! * before.value[c]!
      }
      return result * row[columns + c]!
    })
  }

  #attend(op: PagedAttentionOp, q: Row, { sequence, position }: TokenRow): Row {
    const { heads, kvHeads, headDim, group, layer, scale, window = Infinity, slopes } = op
    const first = Math.max(0, position + 1 - window)
    const tokens = this.#layer(sequence, group, layer).slice(first, position + 1)
    const sinks = op.sinks && this.#weight(op.sinks)
    const valueDim = op.out.cols / heads
    const out = new Float64Array(op.out.cols)
    for (let head = 0; head < heads; head++) {
      const kv = Math.floor(head / (heads / kvHeads))
      const query = q.subarray(head * headDim, (head + 1) * headDim)
      const scores = tokens.map(({ key }, t) => {
        const score = softcap(
          dot(query, key.subarray(kv * headDim, (kv + 1) * headDim)) * scale,
          op.softcap,
        )
        return score + (slopes?.[head] ?? 0) * (first + t - position)
      })
      softmax(scores, sinks?.[head]).forEach((weight, t) => {
        const { value } = tokens[t]!
        for (let d = 0; d < valueDim; d++)
          out[head * valueDim + d]! += weight * value[kv * valueDim + d]!
      })
    }
    return out
  }

  #layer(sequence: string, group: number, layer: number): { key: Row; value: Row }[] {
    const name = `${sequence}/${group}/${layer}`
    const tokens = this.#cache.get(name) ?? []
    this.#cache.set(name, tokens)
    return tokens
  }

  /** The fused elements of a weight as its type stores them. */
  #weight(weight: Weight): Row {
    const known = this.#weights.get(weight.id)
    if (known) return known
    const elements = new Float32Array(weight.shape.reduce((product, size) => product * size, 1))
    const { type } = weight
    let start = 0
    for (const source of weight.sources) {
      const part = elementsOf(source, this.tensors(source.name), weight.shape[1] ?? 1)
      elements.set(part, start)
      start += part.length
    }
    elements.forEach((x, i) => (elements[i] = x + (weight.offset ?? 0)))
    const kept = isQuantized(type)
      ? requantized(type, elements, weight.shape[1]!)
      : Float64Array.from(elements, (x) => roundTo(type, x))
    this.#weights.set(weight.id, kept)
    return kept
  }
}

/** The elements that a source takes of its tensor, row after row. */
function elementsOf({ view }: WeightSource, tensor: ArrayLike<number>, columns: number) {
  if (!view) return tensor
  let starts = [view.first]
  for (const { count, step } of view.loops)
    starts = starts.flatMap((start) => Array.from({ length: count }, (_, i) => start + i * step))
  return starts.flatMap((start) =>
    Array.from({ length: columns }, (_, c) => tensor[start + c * view.columnStep]!),
  )
}

function total(sequences: readonly ReferenceSequence[]): number {
  return sum(sequences.map((sequence) => sequence.tokens.length))
}

function copy(rows: readonly Row[]): Row[] {
  return rows.map((row) => row.slice())
}

function split(elements: ArrayLike<number> | undefined, cols: number): Row[] | undefined {
  if (!elements) return undefined
  const all = Float64Array.from(elements)
  return Array.from({ length: all.length / cols }, (_, row) =>
    all.slice(row * cols, (row + 1) * cols),
  )
}

function gather(op: GatherRowsOp, input: Row[], sampleRows: readonly number[]): Row[] {
  return sampleRows.map((row) => {
    const found = input[row]
    if (!found) throw new RangeError(`gatherRows ${op.label}: there is no token row ${row}`)
    return found.slice()
  })
}
