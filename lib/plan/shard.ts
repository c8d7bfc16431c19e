import { EngineError } from '../errors.js'
import { PlanBuilder } from './builder.js'
import { refusal } from './checker.js'
import { Division, keptKvHeads, positionsCut, repeated } from './division.js'
import type {
  ActivationOp,
  AddOp,
  CacheGroup,
  CombineExpertsOp,
  EmbedOp,
  ExpertLinearOp,
  HeadLinearOp,
  LinearOp,
  Op,
  PagedAttentionOp,
  Plan,
  QkNorm,
  RopeStoreKvOp,
  ScaleOp,
  ShortConvOp,
  StoreLatentOp,
  Value,
  Weight,
} from './ops.js'
import type { Place, RankSums } from './rank-ops.js'
import { isCut, notShared, RankValues, whole, type Held, type Layout } from './rank-values.js'
import { lengthOf, sameCut, scaled, type Range } from './shares.js'
import { columnSlice, isColumnSlice, rowSlice } from './weight-slices.js'

/**
 * The plan of one of several ranks that compute a model together, each with a part of the weights and
 * of the cache. Throws EngineError `unsupported_model` naming the op that the ranks cannot share.
 *
 * @example
 * const plans = [0, 1].map((rank) => shardPlan(plan, { rank, ranks: 2 }))
 */
export function shardPlan(plan: Plan, place: Place): Plan {
  const { rank, ranks } = place
  if (!Number.isInteger(ranks) || !Number.isInteger(rank) || rank < 0 || rank >= ranks)
    throw new RangeError(`expected a rank from 0 to ranks − 1, found ${rank} of ${ranks}`)
  if (plan.place) throw new EngineError('not_supported', 'the plan is already that of a rank')
  return ranks === 1 ? plan : new Sharder(plan, place).plan()
}

/** Goes through the ops of a plan and records what the rank does for each. */
class Sharder {
  readonly #g: PlanBuilder
  readonly #division: Division
  readonly #values: RankValues

  constructor(
    readonly whole: Plan,
    readonly place: Place,
  ) {
    const { name, vocabSize } = whole
    const types = { weightType: 'float32', cacheType: 'float32' } as const
    this.#g = new PlanBuilder({ name, vocabSize, ...types, place })
    this.#division = new Division(whole, place.ranks)
    this.#values = new RankValues(this.#g, place.ranks)
  }

  plan(): Plan {
    this.whole.caches.forEach((group, index) => this.#g.declareCache(this.#cacheOf(group, index)))
    for (const op of this.whole.ops) {
      const held = this.#record(op)
      if (held && 'out' in op) this.#values.keep(op.out, op.label, held)
    }
    return this.#g.build()
  }

  #record(op: Op): Held | null {
    const g = this.#g
    switch (op.kind) {
      case 'embed':
        return this.#embed(op)
      case 'norm': {
        const residual = op.residual && this.#values.whole(op.residual)
        const vectors = { weight: this.#kept(op.weight), bias: this.#kept(op.bias) }
        const { label, norm, eps } = op
        return whole(
          g.norm(label, this.#values.whole(op.input), { norm, eps, residual, ...vectors }),
        )
      }
      case 'linear':
        return this.#linear(op)
      case 'ropeStoreKv':
        return this.#ropeStoreKv(op)
      case 'pagedAttention':
        return this.#pagedAttention(op)
      case 'activation':
        return this.#activation(op)
      case 'route': {
        const { topK, score, renormalise, scale, groups, topGroups, groupScore } = op
        const routing = { topK, score, renormalise, scale, groups, topGroups, groupScore }
        const bias = this.#kept(op.bias)
        return whole(g.route(op.label, this.#values.whole(op.input), { ...routing, bias }))
      }
      case 'expertLinear':
        return this.#expertLinear(op)
      case 'combineExperts':
        return this.#combineExperts(op)
      case 'headLinear':
        return this.#headLinear(op)
      case 'storeLatent':
        return this.#storeLatent(op)
      case 'shortConv':
        return this.#shortConv(op)
      case 'scale':
        return this.#scale(op)
      case 'add':
        return this.#add(op)
      case 'gatherRows':
        return whole(g.gatherRows(op.label, this.#values.whole(op.input)))
      case 'pool':
        g.pool(op.label, this.#values.whole(op.input))
        return null
      case 'sample':
        g.sample(op.label, this.#values.whole(op.input))
        return null
      case 'adapt':
        throw refusal(`adapt ${op.label}: the plan of a rank has no adapters`)
      case 'sumSquares':
      case 'allReduce':
      case 'allGather':
        throw refusal(`${op.kind} ${op.label}: the plan of the whole model has no such op`)
      default:
        return op satisfies never
    }
  }

  /** Each rank looks up the tokens of its rows, and has zeros for the others. */
  #embed({ label, weight, scale, positionOffset }: EmbedOp): Held {
    const g = this.#g
    if (positionOffset !== undefined)
      return whole(g.embedPositions(label, this.#kept(weight), positionOffset))
    const share = this.#division.vocabulary()?.[this.place.rank]
    if (!share) return whole(g.embed(label, this.#kept(weight), scale))
    const rows = g.declare(rowSlice(weight, [share]))
    return { value: g.embed(label, rows, scale, share.from), layout: 'partial' }
  }

  #linear(op: LinearOp): Held {
    const biases = op.bias ? [op.bias] : []
    const { input, weights, biases: own, layout } = this.#product(op, [op.weight], biases, 1)
    const value = this.#g.linear(op.label, input, { weight: weights[0]!, bias: own[0] })
    return { value, layout }
  }

  /** Every rank has a part of each expert. */
  #expertLinear(op: ExpertLinearOp): Held {
    const { label, topK, split } = op
    const { input, weights, biases, layout } = this.#product(op, op.weights, op.biases, topK)
    const given = { weights, biases, split }
    return {
      value: this.#g.expertLinear(label, input, this.#values.whole(op.routes), given),
      layout,
    }
  }

  /**
   * A product with matrices that are all alike, for rows of so many parts. Where its readers want
   * columns, the matrices are divided by rows; where its input lies in columns, by columns, which
   * gives parts of a sum, the first rank's with the biases; else every rank has them whole.
   */
  #product(
    op: LinearOp | ExpertLinearOp,
    weights: readonly Weight[],
    biases: readonly Weight[],
    parts: number,
  ) {
    const g = this.#g
    const wanted = this.#division.wanted(op.out)
    if (wanted) {
      const ranges = wanted[this.place.rank]!.filter(({ to }) => to <= op.out.cols / parts)
      const slices = (all: readonly Weight[]) => all.map((one) => g.declare(rowSlice(one, ranges)))
      const rows = { weights: slices(weights), biases: slices(biases) }
      return { input: this.#values.whole(op.input), ...rows, layout: wanted }
    }
    const held = this.#values.of(op.input)
    const columns = columnShares(held.layout, op.kind === 'linear' || !op.split ? 1 : parts)
    if (columns?.every((range) => weights.every((weight) => isColumnSlice(weight, range)))) {
      const own = columns[this.place.rank]!
      const slices = weights.map((weight) => g.declare(columnSlice(weight, own)))
      const added = this.place.rank === 0 ? this.#keptAll(biases) : []
      return { input: held.value, weights: slices, biases: added, layout: 'partial' as const }
    }
    const kept = { weights: this.#keptAll(weights), biases: this.#keptAll(biases) }
    return { input: this.#values.whole(op.input), ...kept, layout: 'whole' as const }
  }

  #ropeStoreKv(op: RopeStoreKvOp): Held {
    const { label, group, layer, headDim, clip, growth } = op
    const { heads, kvHeads } = this.#division.headsOf(op)[this.place.rank]!
    const input = this.#values.columns(op, op.input, this.#division.qkvCut(op))
    const qkNorm = op.qkNorm && this.#qkNorm(op.qkNorm, headDim, { heads, kvHeads })
    const rankSums = op.qkNorm?.over === 'all' ? this.#rankSums(op, input) : undefined
    const rope = op.rope && this.#g.rope(withoutId(op.rope))
    const given = { group, layer, heads: lengthOf(heads), rope, qkNorm, rankSums, clip, growth }
    const value = this.#g.ropeStoreKv(label, input, given)
    return { value, layout: this.#division.headCut(op, headDim) }
  }

  /** Gains and shifts of the rank's heads, where heads do not share them. */
  #qkNorm(norm: QkNorm, headDim: number, own: { heads: Range; kvHeads: Range }): QkNorm {
    const slice = (vector: Weight | undefined, range: Range) => {
      if (!vector) return undefined
      if (norm.over === 'head' && vector.shape[0] === headDim) return this.#kept(vector)
      return this.#g.declare(rowSlice(vector, [scaled(range, headDim)]))
    }
    return {
      ...norm,
      qWeight: slice(norm.qWeight, own.heads),
      kWeight: slice(norm.kWeight, own.kvHeads),
      qBias: slice(norm.qBias, own.heads),
      kBias: slice(norm.kBias, own.kvHeads),
    }
  }

  /** The sums of squares over all ranks. A head that several ranks keep counts as several. */
  #rankSums(op: RopeStoreKvOp, input: Value): RankSums {
    const { label, headDim, kvHeads, qkNorm } = op
    const shares = this.#division.headsOf(op)
    const kept = keptKvHeads(shares, kvHeads)
    if (qkNorm?.norm !== 'rms' || qkNorm.afterRope)
      throw notShared(
        op,
        this.place.ranks,
        'its norm over all heads takes more than sums of squares',
      )
    if (kept === null)
      throw notShared(
        op,
        this.place.ranks,
        'they would not keep all heads equally often, which its norm is over',
      )
    const own = shares[this.place.rank]!
    const parts = [lengthOf(own.heads) * headDim, lengthOf(own.kvHeads) * headDim]
    const squares = this.#g.sumSquares(`${label}.squares`, input, parts)
    const sums = this.#g.allReduce(`${label}.squares.reduce`, squares)
    return { squares: sums, heads: op.heads, kvHeads: kept }
  }

  #pagedAttention(op: PagedAttentionOp): Held {
    const { label, group, layer, scale, window, softcap } = op
    const { heads } = this.#division.headsOf(op)[this.place.rank]!
    const input = this.#values.columns(op, op.input, this.#division.headCut(op, op.headDim))
    const slopes = op.slopes?.slice(heads.from, heads.to)
    const sinks = op.sinks && this.#g.declare(rowSlice(op.sinks, [heads]))
    const given = { group, layer, heads: lengthOf(heads), scale, window, softcap, slopes, sinks }
    const value = this.#g.pagedAttention(label, input, given)
    return { value, layout: this.#division.headCut(op, op.out.cols / op.heads) }
  }

  #activation(op: ActivationOp): Held {
    const { label, activation, gated, parts } = op
    const held = this.#values.of(op.input)
    const [wanted, cut] = [this.#division.activationInput(op), this.#division.activationCut(op)]
    const divided = !!wanted && !!cut && isCut(held.layout) && sameCut(held.layout, wanted)
    const input = divided ? held.value : this.#values.whole(op.input)
    const given = { activation, gated, parts, parameters: this.#kept(op.parameters) }
    return { value: this.#g.activation(label, input, given), layout: divided ? cut : 'whole' }
  }

  /** Sums of parts are parts of the sum. */
  #combineExperts({ label, input, routes, shared, gate }: CombineExpertsOp): Held {
    const summed = [input, shared].filter((value) => value !== undefined)
    const partial = summed.every((value) => this.#values.of(value).layout === 'partial')
    const take = (value: Value) =>
      partial ? this.#values.of(value).value : this.#values.whole(value)
    const beside = { shared: shared && take(shared), gate: gate && this.#values.whole(gate) }
    const value = this.#g.combineExperts(label, take(input), this.#values.whole(routes), beside)
    return { value, layout: partial ? 'partial' : 'whole' }
  }

  #headLinear(op: HeadLinearOp): Held {
    const [rows = 0, columns = 0] = op.weights[0]?.shape ?? []
    const { heads } = this.#division.headsOf(op)[this.place.rank]!
    const input = this.#values.columns(op, op.input, this.#division.headCut(op, columns), 'first')
    const weights = this.#keptAll(op.weights.slice(heads.from, heads.to))
    const value = this.#g.headLinear(op.label, input, weights)
    return { value, layout: this.#division.headCut(op, rows) }
  }

  #storeLatent(op: StoreLatentOp): Held {
    const { label, rope, eps, group, layer } = op
    const { heads } = this.#division.headsOf(op)[this.place.rank]!
    const cut = this.#division.headCut(op, op.input.cols / op.heads)
    const input = this.#values.columns(op, op.input, cut)
    const value = this.#g.storeLatent(label, input, {
      ...{ eps, group, layer, heads: lengthOf(heads), rope: this.#g.rope(withoutId(rope)) },
      positions: this.#values.columns(op, op.positions, positionsCut(this.#division, op), 'last'),
      latent: this.#values.whole(op.latent),
      weight: this.#kept(op.weight),
    })
    return { value, layout: this.#division.headCut(op, op.out.cols / op.heads) }
  }

  #shortConv(op: ShortConvOp): Held {
    const { label, width, group, layer } = op
    const shares = this.#division.convolutionShares(op)
    const own = shares[this.place.rank]!
    const input = this.#values.columns(op, op.input, repeated(shares, 3, op.out.cols))
    const value = this.#g.shortConv(label, input, {
      ...{ width, group, layer },
      weight: this.#g.declare(rowSlice(op.weight, [scaled(own, width)])),
      bias: op.bias && this.#g.declare(rowSlice(op.bias, [own])),
    })
    return { value, layout: shares.map((share) => [share]) }
  }

  #scale(op: ScaleOp): Held {
    const { layout, value } = this.#values.of(op.input)
    if (layout === 'partial' && op.cap !== undefined)
      return whole(this.#g.scale(op.label, this.#values.whole(op.input), op))
    return { value: this.#g.scale(op.label, value, op), layout }
  }

  #add({ label, input, other }: AddOp): Held {
    const [a, b] = [this.#values.of(input), this.#values.of(other)]
    const alike =
      isCut(a.layout) && isCut(b.layout) ? sameCut(a.layout, b.layout) : a.layout === b.layout
    if (!alike)
      return whole(this.#g.add(label, this.#values.whole(input), this.#values.whole(other)))
    return { value: this.#g.add(label, a.value, b.value), layout: a.layout }
  }

  /** A weight that every rank has whole. */
  #kept<T extends Weight | undefined>(weight: T): T {
    return (weight && this.#g.declare(withoutId(weight))) as T
  }

  #keptAll(weights: readonly Weight[]): readonly Weight[] {
    return weights.map((weight) => this.#kept(weight))
  }

  #cacheOf(group: CacheGroup, index: number): CacheGroup {
    for (const op of this.whole.ops) {
      if (!('group' in op) || op.group !== index) continue
      if (op.kind === 'shortConv' && group.kind === 'state') {
        const own = this.#division.convolutionShares(op)[this.place.rank]!
        return { ...group, elements: (op.width - 1) * lengthOf(own) }
      }
      if (op.kind !== 'shortConv' && group.kind !== 'state')
        return { ...group, kvHeads: lengthOf(this.#division.headsOf(op)[this.place.rank]!.kvHeads) }
    }
    return group
  }
}

/** The columns of a part that each rank has, where every part of a row has the same. */
function columnShares(layout: Layout, parts: number): readonly Range[] | null {
  if (!isCut(layout) || layout.some((ranges) => ranges.length !== parts)) return null
  return layout.map((ranges) => ranges[0]!)
}

function withoutId<T extends { readonly id: number }>({ id: _, ...rest }: T): Omit<T, 'id'> {
  return rest
}
